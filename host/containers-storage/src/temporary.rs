//! A temporary storage inside another one. It is on the same file system, so a single rename can exchange a damaged layer with a
//! fetched one.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use bootc_image_os::files;
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::{self, Scratch};

use crate::error::Error;

/// The storage's directory, and the file with the names of replaced layers.
const STORE: &str = "store";
const NAMES: &str = "names";

/// The temporary storage. It is removed when dropped, unless its files are mounted.
#[derive(Debug)]
pub struct TemporaryStore {
    scratch: Scratch,
    root: RootDir,
}

impl TemporaryStore {
    /// Creates an empty one in `storage`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn new(storage: &Path) -> Result<Self, Error> {
        let scratch = Scratch::in_directory(storage)?;
        let path = scratch.directory(STORE)?;
        let root = RootDir::open(&path).map_err(Error::io("open", path))?;
        Ok(Self { scratch, root })
    }

    /// The storage itself.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// Records the names by which layers are mounted whose previous contents are about to be moved here.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn record_names(&self, names: &[String]) -> Result<(), Error> {
        let path = self.scratch.path().join(NAMES);
        let unfinished = path.with_extension("unfinished");
        let text = names.join("\n");
        files::replace(&path, &unfinished, 0o600, |file| io::Write::write_all(file, text.as_bytes()))
            .map_err(Error::io("write", path))
    }
}

impl Drop for TemporaryStore {
    fn drop(&mut self) {
        if is_mounted(self.scratch.path()) {
            tracing::info!(path = %self.scratch.path().display(), "the replaced contents of layers are still mounted and stay for now");
            self.scratch.leave();
        }
    }
}

/// Removes the temporary storages of processes that have exited.
pub fn remove_abandoned(storage: &Path) {
    scratch::remove_abandoned_in(storage, &is_mounted);
}

/// Whether a mount may still use the previous contents of a layer. A mount that is newer than the replacement has the same names, so
/// the files may be kept longer than necessary.
fn is_mounted(directory: &Path) -> bool {
    let names = match fs::read_to_string(directory.join(NAMES)) {
        Ok(names) => names,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    let names: Vec<&str> = names.lines().filter(|name| !name.is_empty()).collect();
    let mut seen = HashSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // All processes in a namespace have the same mounts.
        match fs::read_link(process.path().join("ns/mnt")) {
            Ok(namespace) if seen.insert(namespace.clone()) => {}
            _ => continue,
        }
        let mounts = fs::read(process.path().join("mountinfo")).unwrap_or_default();
        let mounts = String::from_utf8_lossy(&mounts);
        if mounts.lines().any(|line| has_layer(line, &names)) {
            return true;
        }
    }
    false
}

/// Whether a line of `mountinfo` is a mount of one of these layers. Mounts of fuse-overlayfs do not show their layers, so any of them
/// counts.
fn has_layer(line: &str, names: &[&str]) -> bool {
    let Some((_, system)) = line.split_once(" - ") else { return false };
    system.starts_with("fuse.fuse-overlayfs ")
        || (system.starts_with("overlay ") && names.iter().any(|name| system.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_mounts() {
        let line = "94 92 0:50 / /m rw - overlay overlay ro,lowerdir=/s/overlay/l/ABC:/s/overlay/l/DEF";
        assert!(has_layer(line, &["l/DEF"]) && !has_layer(line, &["l/XYZ", "0123/diff"]));
        assert!(!has_layer("94 92 0:50 /l/DEF /m rw - ext4 /dev/vda rw", &["l/DEF"]));
        assert!(has_layer("94 92 0:50 / /m rw - fuse.fuse-overlayfs fuse-overlayfs rw", &["l/DEF"]));
    }

    #[test]
    fn it_goes_with_its_owner() {
        let storage = tempfile::tempdir().unwrap();
        let temporary = TemporaryStore::new(storage.path()).unwrap();
        temporary.record_names(&["l/NONE".to_owned()]).unwrap();
        let entries = || fs::read_dir(storage.path()).unwrap().count();
        remove_abandoned(storage.path());
        assert_eq!(entries(), 1);
        drop(temporary);
        assert_eq!(entries(), 0);
    }
}
