//! A storage of our own within another one, for a while: what is fetched into it can be put in the place of what is damaged
//! there, by one rename, since both are on one file system.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use bootc_image_os::files;
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::{self, Scratch};

use crate::error::Error;

/// The storage, and the names of the layers whose earlier contents are in it now.
const STORE: &str = "store";
const NAMES: &str = "names";

/// The storage. It is removed when dropped, unless something that is mounted has its files.
#[derive(Debug)]
pub struct TemporaryStore {
    scratch: Scratch,
    root: RootDir,
}

impl TemporaryStore {
    /// Makes an empty one in `storage`.
    ///
    /// # Errors
    /// The system's.
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

    /// Writes down by which names layers are mounted whose contents are about to get here.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn will_have(&self, names: &[String]) -> Result<(), Error> {
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

/// Removes what processes have left in a storage that are gone.
pub fn remove_abandoned(storage: &Path) {
    scratch::remove_abandoned_in(storage, &is_mounted);
}

/// Whether a container, or another process that has mounted a layer, may still read what was there before. That which was mounted since
/// has the same names: then it stays for longer than it has to.
fn is_mounted(directory: &Path) -> bool {
    let names = match fs::read_to_string(directory.join(NAMES)) {
        Ok(names) => names,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    let names: Vec<&str> = names.lines().filter(|name| !name.is_empty()).collect();
    let mut seen = HashSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // Processes with one namespace see the same.
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

/// Whether a line of `mountinfo` is a mount that shows one of these layers. A program that mounts for the driver doesn't say
/// which ones it shows.
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
        temporary.will_have(&["l/NONE".to_owned()]).unwrap();
        let entries = || fs::read_dir(storage.path()).unwrap().count();
        remove_abandoned(storage.path());
        assert_eq!(entries(), 1);
        drop(temporary);
        assert_eq!(entries(), 0);
    }
}
