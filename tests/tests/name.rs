//! Under the name `bootc`: `bootc image` is ours, all else is the real one's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// bootc isn't packaged for Debian: this stands in for it.
const BOOTC: &str = "#!/bin/sh\nprintf '<%s>' real \"$0\" \"$@\"; echo \"$MARK\"; exit 7\n";

fn enter(world: &World) -> Enter {
    let evil = "#!/bin/sh\necho evil\n";
    world
        .enter()
        .file_with_mode("/tmp/evil/bootc", evil, 0o755)
        .env("PATH", "/tmp/evil:/usr/bin")
        .env("MARK", "mark")
}

const LINK: &str = "ln -s /usr/bin/bootc-image /tmp/bootc";

#[test]
fn image_is_ours() {
    let world = World::new();
    let script = format!(
        "{LINK}; /tmp/bootc image list >/tmp/a; bootc-image list >/tmp/b; cmp /tmp/a /tmp/b; /tmp/bootc image cmd rmi x"
    );
    let output = enter(&world).file_with_mode("/usr/bin/bootc", BOOTC, 0o755).sh(&script).exits(77);
    assert!(output.stdout.is_empty(), "{output:#?}");
}

#[test]
fn everything_else_is_the_real_ones() {
    let world = World::new();
    for (words, expected) in [
        ("status --json", "<status><--json>"),
        ("upgrade --check", "<upgrade><--check>"),
        ("", ""),
        ("--help", "<--help>"),
        ("--version image", "<--version><image>"),
        ("'a b' ''", "<a b><>"),
    ] {
        let real = enter(&world).file_with_mode("/usr/bin/bootc", BOOTC, 0o755);
        let output = real.sh(&format!("{LINK}; /tmp/bootc {words}")).exits(7);
        assert_eq!(output.stdout, format!("<real></usr/bin/bootc>{expected}mark\n"));
    }
}

/// It is the caller who runs it: what we set for ourselves and our children isn't its business.
#[test]
fn the_real_one_has_the_callers_limits_and_mask() {
    let world = World::new();
    let real = "#!/bin/sh\necho $(umask) $(ulimit -S -n) $(ulimit -S -s)\n";
    let script = format!("{LINK}; umask 077; ulimit -S -n 500; ulimit -S -s 4096; /tmp/bootc status");
    let output = enter(&world).file_with_mode("/usr/bin/bootc", real, 0o755).sh(&script).ok();
    assert_eq!(output.stdout, "0077 500 4096\n");
}

#[test]
fn without_a_real_one_it_is_missing() {
    let world = World::new();
    let output = enter(&world).sh(&format!("{LINK}; /tmp/bootc status")).exits(69);
    assert!(
        output.stderr.contains("error: bootc is not installed") && !output.stdout.contains("evil"),
        "{output:#?}"
    );
    // It is us.
    let ours = programs::required("bootc-image");
    let output = enter(&world).program(&ours, "/usr/bin/bootc").run(&["/usr/bin/bootc", "status"]).exits(69);
    assert!(output.stderr.contains("bootc is not installed"), "{output:#?}");
    enter(&world).program(&ours, "/usr/bin/bootc").run(&["/usr/bin/bootc", "image", "list"]).ok();
}

/// Every file below a directory, with its mode, as a path in it.
fn files(directory: &Path) -> BTreeMap<PathBuf, u32> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                directories.push(path);
            } else {
                files.insert(path.strip_prefix(directory).unwrap().to_owned(), metadata.mode() & 0o7777);
            }
        }
    }
    files
}

/// The directories that a page names in its sentence about `make install`.
fn directories_said(page: &str) -> BTreeSet<&str> {
    let (_, sentence) = page.split_once("`make install` puts").unwrap();
    let sentence = sentence.split(['(', '.']).next().unwrap();
    sentence.split('`').filter(|word| word.starts_with("/usr/")).collect()
}

/// What is there afterwards is what the README, docs/reference/native-extensions.md and docs/reference/policies.md say. The name `bootc` belongs to
/// bootc's package.
#[test]
fn the_name_is_never_installed() {
    let root = tempfile::tempdir().unwrap();
    let programs = programs::required("bootc-image").parent().unwrap().to_owned();
    let output = Command::new("make")
        .args(["--old-file=build", "install"])
        .arg(format!("DESTDIR={}", root.path().display()))
        .arg(format!("PROFILE={}", programs.file_name().unwrap().display()))
        .env("CARGO_TARGET_DIR", programs.parent().unwrap())
        .current_dir(WORKSPACE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let mut expected: BTreeMap<PathBuf, u32> = [
        ("usr/bin/bootc-image", 0o755),
        ("usr/libexec/bootc-image/bootc-image-helper", 0o755),
        ("usr/libexec/bootc-image/bootc-image-native", 0o755),
        ("usr/include/bootc_image_extension.h", 0o644),
    ]
    .map(|(path, mode)| (path.into(), mode))
    .into();
    let page = |path: &str| fs::read_to_string(Path::new(WORKSPACE).join(path)).unwrap();
    let (readme, native) = (page("README.md"), page("docs/reference/native-extensions.md"));
    let installed = expected.keys().map(|path| format!("/{}", path.parent().unwrap().display()));
    let said = directories_said(&readme).into_iter().chain(directories_said(&native));
    assert_eq!(installed.collect::<BTreeSet<_>>(), said.map(str::to_owned).collect());
    assert!(page("docs/reference/policies.md").contains("`/usr/share/bootc-image/plugins/registry-policy`"));
    let plugins = files(&programs.join("plugins"));
    assert!(plugins.contains_key(Path::new("registry-policy/plugin.toml")), "{plugins:?}");
    let shipped = plugins.into_keys().map(|path| Path::new("usr/share/bootc-image/plugins").join(path));
    expected.extend(shipped.map(|path| (path, 0o644)));
    expected.insert("etc/logrotate.d/bootc-image".into(), 0o644);
    assert!(page("docs/reference/audit-record.md").contains("`/etc/logrotate.d/bootc-image`"));
    assert_eq!(files(root.path()), expected);
}
