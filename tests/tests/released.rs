//! Plugins that were built for a released version of the interface go on working. `tests/released` has, for each version since
//! 0.1.0, the WIT and a plugin of each world as they were; they never change. Until 0.1.0 is released, `BLESS=1` writes them anew.

mod plugins;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bootc_image_test_guests as guests;
use bootc_image_tests::World;
use bootc_image_tests::world::Enter;
use plugins::{IMAGE, granted_capabilities, shipped};
use semver::Version;
use sha2::{Digest as _, Sha256};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, semver_check};
use wit_parser::{Resolve, WorldId};

/// The version of the interface that isn't released yet.
const NEXT: &str = "0.1.0";
/// Stands for a released one, where two are compared: they mustn't have one name.
const BEFORE: &str = "0.0.1";
/// Packages, each after those that it uses.
const PACKAGES: [&str; 5] = ["types", "host", "policy", "format", "command"];
/// What a plugin may be.
const WORLDS: [(&str, &str); 4] =
    [("policy", "validator"), ("format", "output"), ("command", "wrapper"), ("host", "configurable")];
/// A plugin of each world; `command-asks` imports all that commands can.
const SHIPPED: [&str; 3] = ["csv-format", "podman-maintenance", "registry-policy"];
const GUEST: &str = "command-asks";

fn here(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The versions that are kept, each with its directory.
fn kept() -> Vec<(String, PathBuf)> {
    static KEPT: LazyLock<Vec<(String, PathBuf)>> = LazyLock::new(find_kept);
    KEPT.clone()
}

fn find_kept() -> Vec<(String, PathBuf)> {
    let directory = here("released");
    if std::env::var_os("BLESS").is_some() {
        bless(&directory.join(NEXT));
    }
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap());
    let mut kept: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
    kept.sort();
    assert!(kept.iter().any(|(version, _)| version == NEXT), "{kept:?}");
    kept
}

fn bless(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    for package in PACKAGES {
        copy(&here("../wit").join(package), &directory.join("wit").join(package));
    }
    for name in SHIPPED {
        copy(&shipped(name), &directory.join("plugins").join(name));
    }
    let guest = directory.join("plugins").join(GUEST);
    fs::create_dir_all(&guest).unwrap();
    for (name, bytes) in guests::files(GUEST).unwrap() {
        fs::write(guest.join(name), bytes).unwrap();
    }
}

/// A plugin of that time is part of the OS image, with its grant.
fn install(enter: Enter, version: &Path, name: &str) -> Enter {
    let directory = version.join("plugins").join(name);
    let manifest = fs::read_to_string(directory.join("plugin.toml")).unwrap();
    let files = fs::read_dir(&directory).unwrap().flatten();
    let enter = files.fold(enter, |enter, file| {
        let inside = format!("{IMAGE}/{name}/{}", file.file_name().to_string_lossy());
        enter.file(&inside, fs::read(file.path()).unwrap())
    });
    let grant = format!("[[grant]]\nplugin = \"{name}\"\n{}", granted_capabilities(&manifest));
    enter.file(&format!("/usr/lib/bootc-image/grants.d/{name}.toml"), grant)
}

#[test]
fn plugins_that_were_built_for_a_released_version_still_run() {
    for (version, directory) in kept() {
        let world = World::new();
        let with = |name: &str| install(world.enter(), &directory, name);
        let csv = with("csv-format").run(&["bootc-image", "list", "--format", "csv"]).ok().stdout;
        assert!(
            csv.starts_with("image,") && csv.contains("localhost/app:stable,unified,"),
            "{version}: {csv}"
        );
        with("podman-maintenance").run(&["bootc-image", "cmd", "exists", "app:stable"]).ok();
        let settings = |text: &str| with("registry-policy").file("/etc/bootc-image/config.d/a.toml", text);
        let judged = |text: &str| settings(text).run(&["bootc-image", "--dry-run", "copy-to-storage"]);
        judged("settings.registry-policy.default = \"deny\"\n").exits(77);
        judged("settings.registry-policy.default = \"allow\"\n").ok();
        let doctor = settings("settings.registry-policy.default = \"perhaps\"\n").run(&[
            "bootc-image",
            "plugin",
            "doctor",
        ]);
        assert!(doctor.stdout.contains("`default`: \"perhaps\""), "{version}: {doctor:#?}");
        let listed = with(GUEST)
            .file("/etc/bootc-image/config.d/a.toml", "settings.command-asks.do = \"list\"\n")
            .run(&["bootc-image", "cmd", "diff"]);
        assert!(listed.ok().stderr.contains("unified 127.0.0.1:5000/lab/app:1"), "{version}");
    }
}

/// The packages in `directory`; with `version`, as if they were of another one.
fn push(resolve: &mut Resolve, directory: &Path, version: Option<(&str, &str)>) {
    for package in PACKAGES {
        let scratch = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(directory.join(package)).unwrap().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap();
            let text = version.map_or(text.clone(), |(from, to)| text.replace(from, to));
            fs::write(scratch.path().join(entry.file_name()), text).unwrap();
        }
        resolve.push_dir(scratch.path()).unwrap();
    }
}

/// A world as it was, and as it is.
fn both(resolve: &Resolve, package: &str, world: &str) -> (WorldId, WorldId) {
    let before = Version::parse(BEFORE).unwrap();
    let of = |old: bool| {
        let mut packages = resolve.packages.iter().map(|(_, found)| found);
        let found = packages.find(|found| {
            found.name.name == package && (found.name.version.as_ref() == Some(&before)) == old
        });
        found.unwrap().worlds[world]
    };
    (of(true), of(false))
}

#[test]
fn todays_worlds_are_those_of_every_released_version_and_more() {
    for (version, directory) in kept() {
        for (package, world) in WORLDS {
            let mut resolve = Resolve::default();
            push(&mut resolve, &directory.join("wit"), Some((&version, BEFORE)));
            push(&mut resolve, &here("../wit"), None);
            let (before, now) = both(&resolve, package, world);
            semver_check(resolve.clone(), before, now)
                .unwrap_or_else(|error| panic!("{package}/{world} against {version}: {error:#}"));
        }
    }
}

/// A check that nothing can fail shows nothing.
#[test]
fn a_world_that_lost_or_changed_something_doesnt_pass() {
    let (_, directory) = kept().remove(0);
    for (file, from, to) in [
        ("host/config.wit", "get: func(key: string) -> option<string>;", "get: func(key: string) -> string;"),
        (
            "types/problems.wit",
            "        code: string,\n        /// What failed",
            "        code: string,\n        more: string,\n        /// What failed",
        ),
        ("host/rows.wit", "next: func(max: u32) -> chunk;", "next: func(max: u64) -> chunk;"),
    ] {
        let changed = tempfile::tempdir().unwrap();
        for package in PACKAGES {
            fs::create_dir(changed.path().join(package)).unwrap();
            for entry in fs::read_dir(here("../wit").join(package)).unwrap().flatten() {
                fs::copy(entry.path(), changed.path().join(package).join(entry.file_name())).unwrap();
            }
        }
        let path = changed.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has changed: {from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let mut resolve = Resolve::default();
        push(&mut resolve, &directory.join("wit"), Some((NEXT, BEFORE)));
        push(&mut resolve, changed.path(), None);
        let broken = WORLDS.iter().filter(|(package, world)| {
            let (before, now) = both(&resolve, package, world);
            semver_check(resolve.clone(), before, now).is_err()
        });
        assert!(broken.count() > 0, "{file}: {to}");
    }
}

/// A policy that allows everything, for another version of the interface.
fn built_for(version: &str) -> Vec<u8> {
    let text = fs::read_to_string(here("hostile/allows.wat")).unwrap().replace(NEXT, version);
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    push(&mut resolve, &here("../wit"), Some((NEXT, version)));
    let world =
        format!("package other:version; world guest {{ include bootc-image:policy/validator@{version}; }}");
    let package = resolve.push_str("guest.wit", &world).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

#[test]
fn a_plugin_for_another_version_is_told_from_which_side_it_is_wrong() {
    let world = World::new();
    let judged = |version: &str, api: &str| {
        let component = built_for(version);
        let manifest = format!(
            "schema = 1\nid = \"other\"\nversion = \"1.0.0\"\napi = {api:?}\n[[component]]\nfile = \"other.wasm\"\n\
             sha256 = \"{:x}\"\nworld = \"bootc-image:policy/validator\"\n",
            Sha256::digest(&component)
        );
        world
            .enter()
            .file(&format!("{IMAGE}/other/plugin.toml"), manifest)
            .file(&format!("{IMAGE}/other/other.wasm"), component)
            .file("/usr/lib/bootc-image/grants.d/other.toml", "[[grant]]\nplugin = \"other\"\n")
            .run(&["bootc-image", "--dry-run", "copy-to-storage"])
    };
    judged(NEXT, "^0.1").ok();
    // What was only added to since is no other version.
    judged("0.1.7", "^0.1").ok();
    for (version, api, side, fix) in [
        (
            "0.2.0",
            "^0.1",
            "it was built for version 0.2.0 of the plugin interface",
            "install a newer bootc-image",
        ),
        (
            "0.0.9",
            "^0.1",
            "it was built for version 0.0.9 of the plugin interface",
            "install a newer version of the plugin",
        ),
        ("0.2.0", "^0.2", "\"^0.2\" does not include 0.1.0", "install a newer bootc-image"),
        ("0.0.9", "=0.0.9", "\"=0.0.9\" does not include 0.1.0", "install a newer version of the plugin"),
    ] {
        let output = judged(version, api).exits(77);
        assert!(output.stderr.contains(side), "{output:#?}");
        assert!(output.stderr.contains("0.1.0") && output.stderr.contains(fix), "{output:#?}");
    }
}
