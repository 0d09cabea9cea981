//! Files of storages, written by podman, ostree and OS images. They are real files in a directory that is kept.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bootc_image_containers_storage::{Checker, Store, named};
use bootc_image_model::digest::Commit;
use bootc_image_model::reference::Reference;
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use bootc_image_stores::bound;
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::system::System;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::assert_harmless;

struct Silent;

impl Reporter for Silent {
    fn note(&self, _: &str) {}
    fn progress(&self, _: &str) {}
    fn advance(&self, _: u64, _: u64) {}
}

/// In memory, with these directories.
fn directory(below: &[&str]) -> TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
    for name in below {
        fs::create_dir_all(directory.path().join(name)).expect("a directory");
    }
    directory
}

fn write(directory: &TempDir, name: &str, contents: &[u8]) {
    fs::write(directory.path().join(name), contents).expect("a file");
}

fn root(directory: &TempDir) -> RootDir {
    RootDir::open(directory.path()).expect("it is there")
}

/// The input up to the first NUL, and what follows it.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let middle = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let (first, rest) = input.split_at(middle);
    (first, rest.get(1..).unwrap_or_default())
}

thread_local! {
    static BOUND: TempDir = {
        let directory = directory(&["usr/lib/bootc/bound-images.d", "units"]);
        for name in ["a.image", "b.container"] {
            let link = directory.path().join("usr/lib/bootc/bound-images.d").join(name);
            symlink(Path::new("/units").join(name), link).expect("a link");
        }
        directory
    };
    static CONTAINERS: TempDir = directory(&["overlay-images", "overlay-layers"]);
    static LAYER: TempDir = {
        let directory = directory(&["overlay-images", "overlay-layers", "overlay/l", "overlay/x/empty", "overlay/x/diff/a/b"]);
        let index = format!(r#"[{{"id":"x","diff-digest":"sha256:{}","diff-size":-1}}]"#, "0".repeat(64));
        write(&directory, "overlay-layers/layers.json", index.as_bytes());
        write(&directory, "overlay/x/link", b"L");
        symlink("../x/diff", directory.path().join("overlay/l/L")).expect("a link");
        write(&directory, "overlay/x/diff/a/file", b"contents");
        symlink("a", directory.path().join("overlay/x/diff/link")).expect("a link");
        symlink("/", directory.path().join("overlay/x/diff/up")).expect("a link");
        directory
    };
    static OSTREE: TempDir = directory(&["ostree/repo/objects/00", "ostree/repo/refs/heads/ostree/container/image/docker"]);
}

/// A unit names an image or is complained of, once as an `.image` and once as a `.container`.
pub(crate) fn bound_images(input: &[u8]) {
    BOUND.with(|directory| {
        write(directory, "units/a.image", input);
        write(directory, "units/b.container", input);
        let system = System::in_directory(directory.path()).expect("it is there");
        let bound = bound::bound_images(&system).expect("the directory can be read");
        assert_eq!(bound.images.len() + bound.problems.len(), 2);
        for image in bound.images {
            assert!(!image.is_empty() && !image.chars().any(char::is_control), "{image:?}");
        }
        for problem in bound.problems {
            assert!(!problem.error.to_string().is_empty());
        }
    });
}

/// The indexes of images and of layers, with a NUL between them: every question about an image is answered, and ends.
pub(crate) fn containers_storage(input: &[u8]) {
    let (images, layers) = halves(input);
    CONTAINERS.with(|directory| {
        write(directory, "overlay-images/images.json", images);
        write(directory, "overlay-layers/layers.json", layers);
        let root = root(directory);
        let store = Store::open(&root).expect("the directory can be read");
        let Ok(images) = store.images(Duration::ZERO, &Silent) else { return };
        for image in images.iter() {
            // Nothing of it is there.
            if let Ok(damage) = images.damage(image, &[]) {
                assert!(damage.is_some());
            }
            let _ = images.size(image);
            for name in image.listed_names() {
                if let Ok(name) = Reference::parse(name) {
                    assert!(named(&images, &name).is_some() || name.to_string() != image.names[0]);
                }
            }
        }
    });
}

/// What a storage keeps of the archive that a layer was unpacked from, before it is compressed: the layer's files are compared with
/// it, and what is wrong is said in harmless words.
pub(crate) fn layer(input: &[u8]) {
    LAYER.with(|directory| {
        let mut compressed = GzEncoder::new(Vec::new(), Compression::none());
        compressed.write_all(input).expect("memory");
        write(directory, "overlay-layers/x.tar-split.gz", &compressed.finish().expect("memory"));
        let root = root(directory);
        let store = Store::open(&root).expect("the directory can be read");
        let mut checker = Checker::new(&store, &[]).expect("the indexes can be read");
        if let Ok(Some(damage)) = checker.layer("x") {
            assert_harmless(&damage.to_string());
        }
    });
}

/// A ref and a commit object, with a NUL between them: a digest or a complaint.
pub(crate) fn ostree_commit(input: &[u8]) {
    let (reference, object) = halves(input);
    let commit = Commit::new("0".repeat(64)).expect("a commit");
    OSTREE.with(|directory| {
        write(directory, "ostree/repo/refs/heads/ostree/container/image/docker/a_3A_b", reference);
        write(directory, &format!("ostree/repo/objects/00/{}.commit", &commit.as_str()[2..]), object);
        let repository = Repository::open(&root(directory)).expect("the directory can be read");
        let (refs, problems) = repository.image_refs().expect("the refs can be read");
        assert_eq!(refs.len() + problems.len(), 1);
        match repository.manifest_digest(&commit) {
            Ok(digest) => {
                let named = digest.as_str().as_bytes();
                assert!(object.windows(named.len()).any(|window| window == named), "{digest:?}");
            }
            Err(problem) => assert!(!problem.to_string().is_empty()),
        }
    });
}
