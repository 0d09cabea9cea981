//! Storages for unit tests, as podman writes them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bootc_image_model::digest::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::layout::base64;

/// A file of a layer: its path and contents.
pub(super) type File = (&'static str, What);

#[derive(Clone, Copy)]
pub(super) enum What {
    Text(&'static str),
    Link(&'static str),
    HardLink(&'static str),
    Directory,
    /// Of the file with this name in the layer below.
    Whiteout,
}

/// A storage with one image, `localhost/a:1`.
pub(super) struct Sample {
    pub(super) scratch: tempfile::TempDir,
    pub(super) driver: &'static str,
    pub(super) id: String,
    /// The lowest first.
    pub(super) layers: Vec<String>,
}

/// Two layers, of which the second one removes a file.
pub(super) const FILES: [&[File]; 2] = [
    &[
        ("usr/", What::Directory),
        ("usr/a", What::Text("content of a")),
        ("usr/b", What::Text("content of b")),
        ("usr/b2", What::HardLink("usr/b")),
        ("usr/link", What::Link("../usr/a")),
        ("usr/old/", What::Directory),
        ("usr/old/c", What::Text("")),
        ("gone", What::Text("x")),
    ],
    &[("usr/", What::Directory), ("usr/d", What::Text("d")), ("gone", What::Whiteout)],
];

impl Sample {
    pub(super) fn new(driver: &'static str) -> Self {
        // A file system in memory makes syncs fast.
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let root = scratch.path();
        let make = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
        make(&format!("{driver}-layers"));
        let (mut layers, mut records, mut diff_ids) = (Vec::<String>::new(), Vec::new(), Vec::new());
        for (number, files) in FILES.iter().enumerate() {
            let (archive, split) = archived(files);
            let diff_id = Digest::of(&archive);
            let id = Digest::of(format!("{number}{diff_id}").as_bytes()).hex().to_owned();
            let parent = layers.last().map(|parent| format!(r#""parent":"{parent}","#)).unwrap_or_default();
            let size = archive.len();
            records.push(format!(
                r#"{{"id":"{id}",{parent}"diff-digest":"{diff_id}","diff-size":{size},"flags":{{}}}}"#
            ));
            fs::write(root.join(format!("{driver}-layers/{id}.tar-split.gz")), split).unwrap();
            let directory = if driver == "vfs" {
                make("vfs/dir");
                let directory = root.join("vfs/dir").join(&id);
                match layers.last() {
                    Some(parent) => copy(&root.join("vfs/dir").join(parent), &directory),
                    None => fs::create_dir(&directory).unwrap(),
                }
                directory
            } else {
                make(&format!("overlay/{id}/diff"));
                make("overlay/l");
                let link = |number: usize| format!("LINK{number}");
                fs::write(root.join(format!("overlay/{id}/link")), link(number)).unwrap();
                symlink(format!("../{id}/diff"), root.join("overlay/l").join(link(number))).unwrap();
                if number == 0 {
                    make(&format!("overlay/{id}/empty"));
                } else {
                    let below: Vec<_> = (0..number).rev().map(|below| format!("l/{}", link(below))).collect();
                    fs::write(root.join(format!("overlay/{id}/lower")), below.join(":")).unwrap();
                }
                root.join(format!("overlay/{id}/diff"))
            };
            unpack(files, &directory, driver);
            layers.push(id);
            diff_ids.push(diff_id);
        }
        let ids: Vec<_> = diff_ids.iter().map(|id| format!("\"{id}\"")).collect();
        let configuration = format!(r#"{{"rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(","));
        let id = Digest::of(configuration.as_bytes()).hex().to_owned();
        let manifest = format!(r#"{{"config":{{"digest":"sha256:{id}"}}}}"#);
        let digest = Digest::of(manifest.as_bytes());
        make(&format!("{driver}-images/{id}"));
        let documents = [
            (format!("sha256:{id}"), configuration.as_str()),
            ("manifest".to_owned(), manifest.as_str()),
            (format!("manifest-{digest}"), manifest.as_str()),
            (format!("signature-{}", digest.hex()), ""),
        ];
        for (name, text) in &documents {
            let file =
                if name == "manifest" { name.clone() } else { format!("={}", base64(name.as_bytes())) };
            fs::write(root.join(format!("{driver}-images/{id}/{file}")), text).unwrap();
        }
        let each = |value: &dyn Fn(&str, &str) -> String| {
            documents.iter().map(|(name, text)| value(name, text)).collect::<Vec<_>>().join(",")
        };
        let names = each(&|name, _| format!("\"{name}\""));
        let digests = each(&|name, text| format!("\"{name}\":\"{}\"", Digest::of(text.as_bytes())));
        let sizes = each(&|name, text| format!("\"{name}\":{}", text.len()));
        let top = layers.last().unwrap();
        let record = format!(
            r#"[{{"id":"{id}","digest":"{digest}","names":["localhost/a:1"],"layer":"{top}",
                 "big-data-names":[{names}],"big-data-digests":{{{digests}}},"big-data-sizes":{{{sizes}}}}}]"#
        );
        fs::write(root.join(format!("{driver}-images/images.json")), record).unwrap();
        let records = format!("[{}]", records.join(","));
        fs::write(root.join(format!("{driver}-layers/layers.json")), records).unwrap();
        Self { scratch, driver, id, layers }
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.scratch.path().join(inside)
    }

    /// Where the files of a layer are.
    pub(super) fn directory(&self, layer: usize) -> PathBuf {
        let id = &self.layers[layer];
        self.path(&if self.driver == "vfs" { format!("vfs/dir/{id}") } else { format!("overlay/{id}/diff") })
    }

    /// Changes a text in a file.
    pub(super) fn edit(&self, inside: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(inside)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.path(inside), text.replacen(from, to, 1)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").args(["--archive"]).args([from, to]).status().unwrap();
    assert!(copied.success());
}

fn unpack(files: &[File], directory: &Path, driver: &str) {
    for (path, what) in files {
        let at = directory.join(path);
        let mode = |mode| fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        match what {
            What::Text(text) => {
                fs::write(&at, text).unwrap();
                mode(0o644);
            }
            What::Link(target) => symlink(target, &at).unwrap(),
            What::HardLink(target) => fs::hard_link(directory.join(target), &at).unwrap(),
            What::Directory => {
                fs::create_dir_all(&at).unwrap();
                mode(0o755);
            }
            What::Whiteout if driver == "vfs" => fs::remove_file(&at).unwrap(),
            // As a mount program of the driver stores it: creating a device would need privileges.
            What::Whiteout => {
                fs::write(
                    at.with_file_name(format!(".wh.{}", at.file_name().unwrap().to_str().unwrap())),
                    "",
                )
                .unwrap();
            }
        }
    }
}

/// The archive of these files, and its tar-split file.
fn archived(files: &[File]) -> (Vec<u8>, Vec<u8>) {
    let (mut archive, mut lines, mut between) = (Vec::new(), String::new(), Vec::new());
    for (path, what) in files {
        let (kind, text, link, mode) = match what {
            What::Text(text) => (b'0', *text, "", 0o644),
            What::Link(target) => (b'2', "", *target, 0o777),
            What::HardLink(target) => (b'1', "", *target, 0o644),
            What::Directory => (b'5', "", "", 0o755),
            What::Whiteout => (b'0', "", "", 0),
        };
        let name = if matches!(what, What::Whiteout) { format!(".wh.{path}") } else { (*path).to_owned() };
        let mut block = vec![0; 512];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &name);
        put(100, &format!("{mode:07o}"));
        put(108, &format!("{:07o}", rustix::process::geteuid().as_raw()));
        put(116, &format!("{:07o}", rustix::process::getegid().as_raw()));
        put(124, &format!("{:011o}", text.len()));
        put(157, link);
        block[156] = kind;
        archive.extend(&block);
        between.extend(block);
        lines += &format!("{{\"type\":2,\"payload\":\"{}\"}}\n", base64(&between));
        lines += &format!("{{\"type\":1,\"name\":\"{name}\",\"size\":{}}}\n", text.len());
        between = vec![0; text.len().next_multiple_of(512) - text.len()];
        archive.extend(text.as_bytes());
        archive.extend(&between);
    }
    between.extend([0; 1024]);
    archive.extend([0; 1024]);
    lines += &format!("{{\"type\":2,\"payload\":\"{}\"}}\n", base64(&between));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines.as_bytes()).unwrap();
    (archive, encoder.finish().unwrap())
}
