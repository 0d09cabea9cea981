//! Plugins as they are installed: directories with a manifest and a component.

// Not every test needs all of it.
#![allow(dead_code)]

pub mod components;
pub mod native;

use std::path::Path;

use bootc_image_test_guests::{files, sha256};

use bootc_image_tests::programs;
use bootc_image_tests::world::Enter;
use sha2::{Digest as _, Sha256};

/// Where plugins of the OS image, installed ones and the site's are.
pub const IMAGE: &str = "/usr/lib/bootc-image/plugins";
pub const INSTALLED: &str = "/var/lib/bootc-image/plugins";
pub const SITE: &str = "/etc/bootc-image/plugins";

/// A guest is installed in this place.
pub fn install(enter: Enter, guest: &str, place: &str) -> Enter {
    let files = files(guest).unwrap_or_else(|| panic!("there is a guest {guest}"));
    files
        .into_iter()
        .fold(enter, |enter, (name, bytes)| enter.file(&format!("{place}/{guest}/{name}"), bytes))
}

/// The files of a guest: its manifest, then its component.
pub fn files_of(guest: &str) -> Vec<(String, Vec<u8>)> {
    files(guest).unwrap_or_else(|| panic!("there is a guest {guest}"))
}

/// As [`install`] in the OS image, with its grant.
pub fn install_in_image(enter: Enter, guest: &str) -> Enter {
    let manifest = String::from_utf8(files(guest).unwrap_or_default().swap_remove(0).1).expect("it is text");
    let grant = format!("[[grant]]\nplugin = \"{guest}\"\n{}", granted_capabilities(&manifest));
    install(enter, guest, IMAGE).file(&format!("/usr/lib/bootc-image/grants.d/{guest}.toml"), grant)
}

/// A grant for a guest's component as the site would write it.
pub fn grant(guest: &str) -> String {
    let component = sha256(guest).unwrap_or_else(|| panic!("there is a guest {guest}"));
    let manifest = files(guest).unwrap_or_default().swap_remove(0).1;
    let manifest = format!("{:x}", Sha256::digest(&manifest));
    format!("[[grant]]\nplugin = \"{guest}\"\nsha256 = \"{component}\"\nmanifest = \"{manifest}\"\n")
}

/// The directory of a plugin that is shipped, as `make lab` made it.
pub fn shipped(name: &str) -> std::path::PathBuf {
    programs::required("plugins").join(name)
}

/// A shipped plugin is part of the OS image, with its grant.
pub fn ship_in_image(enter: Enter, name: &str) -> Enter {
    let directory = shipped(name);
    let read = |path: &Path| std::fs::read(path).expect("`make lab` has packaged it");
    let entries = std::fs::read_dir(&directory).expect("`make lab` has packaged it");
    let enter = entries.flatten().fold(enter, |enter, entry| {
        let inside = format!("{IMAGE}/{name}/{}", entry.file_name().to_string_lossy());
        enter.file(&inside, read(&entry.path()))
    });
    let manifest = std::fs::read_to_string(directory.join("plugin.toml")).expect("it has a manifest");
    let grant = format!("[[grant]]\nplugin = \"{name}\"\n{}", granted_capabilities(&manifest));
    enter.file(&format!("/usr/lib/bootc-image/grants.d/{name}.toml"), grant)
}

/// All that a manifest asks for, as a grant says it.
pub fn granted_capabilities(manifest: &str) -> String {
    let sections = manifest.split("[[").filter_map(|section| section.strip_prefix("capability]]"));
    let lines = sections.map(|section| {
        let lines = section.lines().filter(|line| line.starts_with("name") || line.starts_with("scope"));
        format!("\n[[grant.capability]]\n{}\n", lines.collect::<Vec<_>>().join("\n"))
    });
    lines.collect()
}
