//! Which working containers of bootc's storage belong to our own builds. A killed build removes nothing, but containers of others must
//! not be removed, and neither podman nor buildah records to which build a container belongs. But podman mounts the layer of a container
//! in its own mount namespace to work in it: what is mounted there, and was not there before, belongs to this build. So it is written to
//! a file while the build runs.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bootc_image_os::files::private_directory;
use bootc_image_os::lock::INTERVAL;
use bootc_image_os::scratch::{Scratch, remove_abandoned_in};

use crate::bootc_store::ALIAS;
use crate::error::Error;

/// Where the records are, below the state directory: one directory per build, with this file in it.
const DIRECTORY: &str = "builds";
const LAYERS: &str = "layers";

/// What a running build works in. When this is dropped, it is forgotten.
#[derive(Debug)]
pub struct BuildRecord {
    directory: Scratch,
    /// The layers that are recorded, and those that were there before.
    layers: HashSet<String>,
}

impl BuildRecord {
    /// The record of a build that begins. `known` are the layers of the containers that exist: podman's mount namespace begins as a
    /// copy of ours, so they may be mounted there, too.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn begin(state: &Path, known: HashSet<String>) -> Result<Self, Error> {
        let all = state.join(DIRECTORY);
        private_directory(&all).map_err(Error::io("create", &all))?;
        Ok(Self { directory: Scratch::in_directory(&all)?, layers: known })
    }

    /// Records the layers that this process, podman, has mounted now to work in them. What cannot be recorded is never removed.
    pub fn look(&mut self, podman: u32) {
        let mounts = fs::read_to_string(format!("/proc/{podman}/mountinfo")).unwrap_or_default();
        self.record(&mounts);
    }

    fn record(&mut self, mounts: &str) {
        let mounted = mounts.lines().filter_map(mounted_layer);
        let new: HashSet<String> =
            mounted.filter(|layer| !self.layers.contains(*layer)).map(str::to_owned).collect();
        if new.is_empty() {
            return;
        }
        let path = self.directory.path().join(LAYERS);
        let lines: String = new.iter().map(|layer| format!("{layer}\n")).collect();
        let write = || {
            let mut file = File::options().append(true).create(true).open(&path)?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        };
        if let Err(error) = write() {
            tracing::warn!(path = %path.display(), %error, "cannot record in which layers this build works");
        }
        self.layers.extend(new);
    }

    /// Leaves the containers to a later [`remove_left`].
    pub fn leave(mut self) {
        self.directory.leave();
    }
}

/// Calls `remove` with the layers in which each build has worked that has ended without removing its containers. It returns whether the
/// containers that write to them are removed now; if not, a later call tries again.
pub fn remove_left(state: &Path, remove: &dyn Fn(HashSet<String>) -> bool) {
    remove_abandoned_in(&state.join(DIRECTORY), &|build| {
        let text = fs::read_to_string(build.join(LAYERS)).unwrap_or_default();
        !remove(text.lines().map(str::to_owned).collect())
    });
}

/// The layer of bootc's storage that a line of `mountinfo` has mounted, as podman mounts it to work in it.
fn mounted_layer(line: &str) -> Option<&str> {
    let path = line.split(' ').nth(4)?.strip_prefix(ALIAS)?.strip_prefix('/')?;
    let (_driver, rest) = path.split_once('/')?;
    rest.strip_suffix("/merged")
}

/// How long processes started by podman may outlive it.
const LINGER: Duration = Duration::from_secs(5);

/// Whether another process uses bootc's storage, and still does after a few seconds.
pub fn is_used_for_long() -> bool {
    let end = Instant::now() + LINGER;
    while is_used() {
        if Instant::now() >= end {
            return true;
        }
        std::thread::sleep(INTERVAL);
    }
    false
}

/// What gpg starts when podman signs: it outlives podman in podman's mount namespace, but does not use the storage.
const OF_GPG: [&str; 4] = ["gpg-agent", "scdaemon", "keyboxd", "dirmngr"];

/// Whether bootc's storage is mounted in any process at the path at which podman must see it, whether bootc or we started podman. Our
/// own process does not mount it.
fn is_used() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .any(|process| {
            let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
            uses_storage(&read("comm"), &read("mountinfo"))
        })
}

/// Whether a process with this name and these mounts may use the storage.
fn uses_storage(name: &str, mounts: &str) -> bool {
    !OF_GPG.contains(&name.trim_end()) && mounts.lines().any(|mount| mount.split(' ').nth(4) == Some(ALIAS))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn only_what_our_podman_has_mounted_since_is_recorded() {
        let state = tempfile::tempdir().unwrap();
        let mount = |path: &str| format!("36 35 0:30 / {path} rw,relatime - overlay overlay rw\n");
        let mut record = BuildRecord::begin(state.path(), HashSet::from(["known".to_owned()])).unwrap();
        for mounted in [
            &["/run/bootc/storage", "/run/bootc/storage/overlay", "/run/bootc/storage/overlay/l1/merged"][..],
            &["/run/bootc/storage/overlay/known/merged", "/sysroot/ostree/bootc/storage/overlay/l2/merged"],
            &["/run/bootc/storage/overlay/l1/merged", "/run/bootc/storage/overlay/l3/merged"],
        ] {
            record.record(&mounted.iter().map(|path| mount(path)).collect::<String>());
        }
        let seen = RefCell::new(Vec::new());
        let remove_all = |is_removed: bool| {
            remove_left(state.path(), &|layers| {
                seen.borrow_mut().push(layers);
                is_removed
            });
            seen.take()
        };
        assert!(remove_all(true).is_empty(), "the build still runs");
        record.leave();
        let expected = HashSet::from(["l1".to_owned(), "l3".to_owned()]);
        for is_removed in [false, true] {
            assert_eq!(remove_all(is_removed), std::slice::from_ref(&expected), "{is_removed}");
        }
        assert!(remove_all(true).is_empty());
        drop(BuildRecord::begin(state.path(), HashSet::new()).unwrap());
        assert!(remove_all(true).is_empty(), "a build that has ended leaves nothing");
    }

    #[test]
    fn an_agent_of_gpg_does_not_use_the_storage() {
        let mounts = format!("36 35 0:30 / {ALIAS} rw,relatime - ext4 /dev/vda rw\n");
        assert!(uses_storage("podman\n", &mounts) && uses_storage("buildah\n", &mounts));
        assert!(!uses_storage("gpg-agent\n", &mounts));
        assert!(!uses_storage("podman\n", &mounts.replace(ALIAS, "/run/other")));
    }
}
