//! What the machine looks like from outside, to show that a run has changed nothing on it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{programs, world};

/// Where podman, skopeo, ostree and our programs keep something when they run as root. The rest of a machine changes by
/// itself, whatever we do.
const WATCHED: [&str; 18] = [
    "/etc/bootc-image",
    "/etc/containers",
    "/ostree",
    "/root/.config/containers",
    "/root/.docker",
    "/root/.local/share/containers",
    "/run/bootc",
    "/run/bootc-image",
    "/run/containers",
    "/run/lab",
    "/run/libpod",
    "/run/netns",
    "/run/ostree",
    "/run/ostree-booted",
    "/sysroot",
    "/usr/libexec/bootc-image",
    "/var/lib/bootc-image",
    "/var/lib/containers",
];

/// Directories of all, and what names of ours have in them there.
const SHARED: [&str; 2] = ["/dev/shm", "/var/tmp"];
const NAMES: [&str; 5] = ["bootc", "buildah", "container", "libpod", "podman"];

/// A line for each file (path, type and mode, size, time of change) and each mount of ours: on what is watched, in the
/// directory of the worlds or the target directory, or right below the root.
pub fn snapshot() -> BTreeSet<String> {
    let ours = [world::directory(), programs::target()];
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let watched = |line: &&str| {
        let point = Path::new(line.split(' ').nth(4).unwrap_or_default());
        let below = |directory: &Path| point.starts_with(directory);
        point.components().count() <= 2
            || WATCHED.iter().any(|path| below(Path::new(path)))
            || ours.iter().any(|path| below(path))
    };
    let mut lines: BTreeSet<_> =
        mounts.lines().filter(watched).map(|mount| format!("mount {mount}")).collect();
    let entries =
        |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        NAMES.iter().any(|part| name.contains(part)) && !ours.contains(path)
    };
    let shared = SHARED.iter().flat_map(|directory| entries(Path::new(directory))).filter(named);
    let mut paths: Vec<PathBuf> = WATCHED.map(PathBuf::from).into_iter().chain(shared).collect();
    while let Some(path) = paths.pop() {
        // What has just gone away shows as a difference in its directory.
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            paths.extend(entries(&path));
        }
        lines.insert(line(&path, &metadata));
    }
    lines
}

/// The lines that are in one snapshot only, marked with `-` and `+`.
pub fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let gone = before.difference(after).map(|line| format!("- {line}"));
    let come = after.difference(before).map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

fn line(path: &Path, metadata: &fs::Metadata) -> String {
    // A directory's size is the file system's business.
    let size = if metadata.is_dir() { 0 } else { metadata.size() };
    let time = metadata.mtime_nsec();
    format!("{} {:o} {size} {}.{time:09}", path.display(), metadata.mode(), metadata.mtime())
}
