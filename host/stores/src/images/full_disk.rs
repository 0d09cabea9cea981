//! Removing images from bootc's storage on a full disk. Before podman removes anything, it probes the kernel's features and rewrites the
//! storage's indexes, and that needs free space: see `docs/adr/0011-full-disks.md`.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bootc_image_model::settings::Settings;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::room::make_room_on;
use bootc_image_os::room::{Lowered, Need, Reserve};
use bootc_image_os::root::RootDir;

use crate::bootc_store::{ALIAS, BootcStore, PARENT};
use crate::default_store;
use crate::error::Error;
use crate::host::{Host, physical};
use crate::podman::open_store;

/// The names of reserves: in the state directory, and, if bootc's storage is on another file system, beside the storage or in it.
const OF_STATE: &str = "reserve";
const OF_STORE: &str = ".bootc-image-reserve";
/// A storage's indexes, all of which podman may rewrite.
const INDEXES: [&str; 6] = [
    "overlay-images/images.json",
    "overlay-layers/layers.json",
    "vfs-images/images.json",
    "vfs-layers/layers.json",
    "libpod/bolt_state.db",
    "db.sql",
];
/// Parts of podman's messages on a full disk: the kernel's errors, and that overlayfs does not work, because probing it failed.
const WORDS: [&str; 4] = [
    "no space left on device",
    "disk quota exceeded",
    "does not support overlay fs",
    "file system is unsupported",
];

/// Free space in bootc's storage, which is taken from reserves until this is dropped.
pub struct Room<'a> {
    store: &'a BootcStore,
    need: Need,
    lowered: Option<Lowered>,
    lent: Vec<Beside>,
}

impl<'a> Room<'a> {
    /// Gives up reserves until podman has enough free space to remove something, or none are left.
    pub fn make(settings: &Settings, physical: &RootDir, store: &'a BootcStore) -> Self {
        let indexes = INDEXES.iter().filter_map(|index| store.root().stat(index).ok());
        let indexes =
            indexes.filter_map(|found| u64::try_from(found.st_size).ok()).fold(0, u64::saturating_add);
        let directory = path_of(store.root());
        let need = Need::of_podman(&directory, indexes);
        let mut room = Self { store, need, lowered: None, lent: Vec::new() };
        if room.is_there() {
            return room;
        }
        tracing::info!(path = %store.root().path(".").display(), "not enough free space: using the space reserves");
        for beside in reserves(settings, physical, store) {
            let mut is_there = false;
            while !is_there && beside.reserve.give_up_some() {
                is_there = room.is_there();
            }
            room.lent.push(beside);
            if is_there {
                return room;
            }
        }
        let mut lowered = Lowered::below(&directory);
        while let Some(lowered) = &mut lowered
            && !room.is_there()
            && lowered.further()
        {}
        room.lowered = lowered;
        room
    }

    /// Whether there is enough free space for podman.
    pub fn is_there(&self) -> bool {
        self.need.is_met(&path_of(self.store.root()))
    }

    /// The hint if there is not enough.
    pub fn hint(&self) -> String {
        let path = self.store.root().path(".");
        format!("the file system of {} is full: {}", path.display(), make_room_on(&path))
    }

    /// Converts an error of podman to [`Error::Full`], if a full file system is the cause.
    pub fn explain(&self, error: Error) -> Error {
        if !is_full_disk_error(&error) || self.is_there() {
            return error;
        }
        Error::Full { path: self.store.root().path("."), source: Box::new(error) }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.lowered = None;
        // podman's rewritten files have replaced the old ones, so the reserves can be refilled.
        self.lent.iter().for_each(|beside| beside.reserve.take_back());
    }
}

fn is_full_disk_error(error: &Error) -> bool {
    let Error::Os(OsError::Process { stderr, .. }) = error else { return false };
    let said = stderr.to_ascii_lowercase();
    WORDS.iter().any(|words| said.contains(words))
}

/// Runs podman to remove an image (`attempt`). If there is not enough free space for that, removes the files of the image's own layers
/// first, which would be removed anyway and which no other image uses. `whole` is the image's id, if its last name is removed.
pub fn remove(
    host: Host<'_>,
    room: &Room<'_>,
    whole: Option<&str>,
    attempt: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let error = match attempt().map_err(|error| room.explain(error)) {
        Err(error @ Error::Full { .. }) => error,
        other => return other,
    };
    // podman has cached the failed probes as features that the kernel lacks.
    default_store::forget_missing_features();
    let Some(id) = whole else { return Err(error) };
    if !free_files_of(host, room, id)? {
        return Err(error);
    }
    attempt().map_err(|error| room.explain(error))
}

/// Removes the files of layers that only this image uses, until there is enough free space. False if there are none.
fn free_files_of(host: Host<'_>, room: &Room<'_>, id: &str) -> Result<bool, Error> {
    let root = room.store.root();
    let contents = open_store(root)?;
    let images = contents.images(host.settings.lock_limit, host.reporter)?;
    let Some(image) = images.iter().find(|image| image.id == id) else { return Ok(false) };
    let mounted = Path::new(ALIAS).join(format!("{}-layers/mountpoints.json", contents.driver()));
    let mounted = fs::read_to_string(mounted).unwrap_or_default();
    let mut freed = false;
    for layer in images.own_layers(image)? {
        // A mounted layer may be in use.
        if mounted.contains(&layer.id) {
            break;
        }
        let Ok(directory) = root.open_root(&layer.directory) else { continue };
        tracing::info!(
            image = id,
            layer = layer.id,
            "not enough free space to remove the image: removing the files of its layer first"
        );
        freed |= empty(&path_of(&directory)).map_err(root.error("remove files of", &layer.directory))?;
        if room.is_there() {
            break;
        }
    }
    if let Ok(open) = root.open_file(".") {
        let _ = rustix::fs::syncfs(open);
    }
    Ok(freed)
}

/// Empties a directory. False if it was empty.
fn empty(directory: &Path) -> io::Result<bool> {
    let mut freed = false;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
        freed = true;
    }
    Ok(freed)
}

/// The path of an open directory, for functions that need a path.
fn path_of(directory: &RootDir) -> PathBuf {
    format!("/proc/self/fd/{}/.", directory.as_fd().as_raw_fd()).into()
}

/// A reserve, and the open directory that contains it.
struct Beside {
    reserve: Reserve,
    _directory: Option<OwnedFd>,
}

/// The reserves on the file system of bootc's storage.
fn reserves(settings: &Settings, physical: &RootDir, store: &BootcStore) -> Vec<Beside> {
    let mut found = Vec::new();
    if is_on_the_file_system_of_state(settings, store) {
        found.push(Beside { reserve: Reserve::new(settings.state.join(OF_STATE)), _directory: None });
    }
    found.extend(of_store(physical, store));
    found
}

/// The reserve beside the storage, or in it if it has its own file system.
fn of_store(physical: &RootDir, store: &BootcStore) -> Option<Beside> {
    let parent = physical.open_file(PARENT).ok()?;
    let (device, _) = store.root().identity().ok()?;
    let is_its_own = parent.metadata().ok()?.dev() != device;
    let directory: OwnedFd = if is_its_own { store.root().open_file(".").ok()? } else { parent }.into();
    let path = format!("/proc/self/fd/{}/{OF_STORE}", directory.as_raw_fd());
    Some(Beside { reserve: Reserve::new(path), _directory: Some(directory) })
}

fn is_on_the_file_system_of_state(settings: &Settings, store: &BootcStore) -> bool {
    let of_state = fs::metadata(&settings.state).map(|metadata| metadata.dev()).ok();
    store.root().identity().is_ok_and(|(device, _)| Some(device) == of_state)
}

/// After an operation: creates the reserve of bootc's storage, unless that of the audit record is on the same file system.
pub fn keep_reserve(settings: &Settings) {
    let Ok(physical) = physical(settings) else { return };
    let Ok(Some(store)) = BootcStore::open(&physical) else { return };
    Lowered::restore(&path_of(store.root()));
    if !is_on_the_file_system_of_state(settings, &store)
        && let Some(beside) = of_store(&physical, &store)
    {
        beside.reserve.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_for_want_of_room_are_taken_for_that() {
        let failed = |stderr: &str| {
            is_full_disk_error(&Error::Os(OsError::Process {
                program: "podman",
                status: "exit code 125".to_owned(),
                stderr: stderr.to_owned(),
            }))
        };
        assert!(failed("Error: mkdir /run/bootc/storage/overlay/compat1: no space left on device"));
        assert!(failed("Error: kernel does not support overlay fs: 'overlay' is not supported over extfs"));
        assert!(failed("Error: mkdir /run/bootc/storage/overlay: disk quota exceeded"));
        assert!(failed("Error: 'overlay' is not supported over ramfs: backing file system is unsupported"));
        assert!(!failed("Error: image used by 1234: image is in use by a container"));
        assert!(!is_full_disk_error(&Error::NotBooted));
    }

    /// On a file system without a free inode, which is mounted for this thread only. Only root can do that.
    #[test]
    fn a_full_file_system_is_named_as_the_cause() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(crate::bootc_store::SUBPATH);
        fs::create_dir_all(&directory).unwrap();
        let tested = std::thread::spawn(move || {
            let podman_failed = || OsError::Process {
                program: "podman",
                status: "exit code 125".to_owned(),
                stderr: "Error: no space left on device".to_owned(),
            };
            let is_mounted = bootc_image_os::mounts::be_private().is_ok();
            if is_mounted {
                let options = "size=64k,nr_inodes=1";
                let mut mount = std::process::Command::new("mount");
                mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&directory);
                assert!(mount.status().unwrap().success());
            }
            let physical = RootDir::open(scratch.path()).unwrap();
            let store = BootcStore::open(&physical).unwrap().unwrap();
            let need = Need::of_podman(&path_of(store.root()), 0);
            let room = Room { store: &store, need, lowered: None, lent: Vec::new() };
            let explained = room.explain(podman_failed().into()).to_string();
            if !is_mounted {
                // There is enough free space, so it failed for another reason.
                assert_eq!(explained, podman_failed().to_string());
                return;
            }
            let path = store.root().path(".");
            let path = path.display();
            assert_eq!(explained, format!("cannot remove anything from {path}: its file system is full"));
            let hint = room.hint();
            let expected = format!("the file system of {path} is full: free space on the file system at ");
            assert!(hint.starts_with(&expected), "{hint}");
            assert!(
                hint.contains(" (no inodes are left: remove files); to see what is large there, run: "),
                "{hint}"
            );
        });
        tested.join().unwrap();
    }

    /// The mount that keeps them is seen by this thread only. Only root can do that.
    #[test]
    fn files_that_cannot_be_removed_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let storage = scratch.path().join(crate::bootc_store::SUBPATH);
        let (id, layer) = ("0".repeat(64), "1".repeat(64));
        let files = storage.join(format!("overlay/{layer}/diff"));
        for directory in [&storage.join("overlay-images"), &storage.join("overlay-layers"), &files] {
            fs::create_dir_all(directory).unwrap();
        }
        let images = format!(r#"[{{"id":"{id}","names":["localhost/a:1"],"layer":"{layer}"}}]"#);
        fs::write(storage.join("overlay-images/images.json"), images).unwrap();
        fs::write(storage.join("overlay-layers/layers.json"), format!(r#"[{{"id":"{layer}"}}]"#)).unwrap();
        fs::write(files.join("file"), "x").unwrap();
        let tested = std::thread::spawn(move || {
            let settings = crate::host::doubles::settings(scratch.path());
            let host = Host { settings: &settings, reporter: &bootc_image_os::reporter::doubles::Silent };
            let is_kept = bootc_image_os::mounts::be_private().is_ok();
            if is_kept {
                bootc_image_os::mounts::protect(files.to_str().unwrap()).unwrap();
            }
            let physical = RootDir::open(scratch.path()).unwrap();
            let store = BootcStore::open(&physical).unwrap().unwrap();
            let need = Need { bytes: u64::MAX, inodes: 0 };
            let room = Room { store: &store, need, lowered: None, lent: Vec::new() };
            if is_kept {
                let error = free_files_of(host, &room, &id).unwrap_err().to_string();
                assert_eq!(error, format!("cannot remove files of {}", files.display()));
                assert!(files.join("file").exists());
            } else {
                assert!(free_files_of(host, &room, &id).unwrap());
                assert!(!files.join("file").exists());
            }
        });
        tested.join().unwrap();
    }
}
