//! What the machine looks like from outside, to show that a run has changed nothing on it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where programs that are run as root could leave something.
const WATCHED: [&str; 6] = ["/etc", "/usr", "/var", "/run", "/root", "/dev/shm"];

/// What others write to all the time, and what cargo and rustup need to build anything.
const UNWATCHED: [&str; 5] =
    ["/var/log", "/var/lib/apt", "/var/cache", "/usr/local/cargo", "/usr/local/rustup"];
const UNWATCHED_AT_HOME: [&str; 3] = [".cargo", ".rustup", ".cache"];

/// A line for each file (path, type and mode, size, time of change) and each mount; `but_not` is left out.
pub fn snapshot(but_not: &[&Path]) -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let mut lines: BTreeSet<_> = mounts.lines().map(|mount| format!("mount {mount}")).collect();
    let mut directories: Vec<_> = WATCHED.map(PathBuf::from).into();
    while let Some(directory) = directories.pop() {
        let watched = |path: &PathBuf| {
            let at_home = UNWATCHED_AT_HOME.map(|name| Path::new("/root").join(name));
            !UNWATCHED.iter().map(Path::new).chain(but_not.iter().copied()).any(|no| path == no)
                && !at_home.contains(path)
        };
        // What has just gone away shows as a difference in its directory.
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(watched) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                directories.push(path.clone());
            }
            lines.insert(line(&path, &metadata));
        }
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
