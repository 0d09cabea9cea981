//! The directory of all worlds: one base for each version of this crate, copies of it, and a lock that they share.
//!
//! Whoever copies holds the lock shared; whoever builds or cleans up holds it alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags, statfs};

use super::base;
use crate::programs;

/// Where worlds are made, instead of in the target directory.
const WORLDS: &str = "BOOTC_IMAGE_WORLDS";

/// The kernel's number for overlayfs.
const OVERLAYFS: i64 = 0x794c_7630;

/// A copy and the lock that shows that it is in use.
pub(super) fn copy_of_base() -> (PathBuf, File) {
    let _shared = base_for_copying();
    copy_of(&base_path())
}

/// As [`copy_of_base`], of a world that is in nobody's use.
pub(super) fn copy_of(world: &Path) -> (PathBuf, File) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let copy = directory().join(format!("copy-{}-{number}", std::process::id()));
    fs::create_dir(&copy).expect("the process's id and a number make the name unique");
    let lock = lock(&copy.join("in-use"), FlockOperation::LockExclusive);
    copy_to(world, &copy);
    (copy, lock)
}

pub(super) fn copy_base_to(path: &Path) {
    let _shared = base_for_copying();
    if path.join(base::FACTS).exists() {
        remove(path);
    }
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    copy_base(path);
}

/// Removes a world.
pub(super) fn remove(world: &Path) {
    clear_immutable(world);
    let removed = fs::remove_dir_all(world);
    // A test that fails shows its own message, not this one.
    if !std::thread::panicking() {
        removed.unwrap_or_else(|error| panic!("removing {}: {error}", world.display()));
    }
}

/// Clears the flag that ostree gives to deployment directories, so that anybody can copy and remove the world.
pub(super) fn clear_immutable(world: &Path) {
    let deployments =
        fs::read_dir(world.join("phys/ostree/deploy/lab/deploy")).into_iter().flatten().flatten();
    for deployment in deployments.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let clear = || {
            let directory = File::open(&deployment)?;
            let flags = ioctl_getflags(&directory)?;
            std::io::Result::Ok(ioctl_setflags(&directory, flags - IFlags::IMMUTABLE)?)
        };
        clear().unwrap_or_else(|error| panic!("chattr -i {}: {error}", deployment.display()));
    }
}

/// Sees to it that there is a base, and returns the shared lock that keeps it.
fn base_for_copying() -> File {
    static CLEANED: Once = Once::new();
    let worlds = directory();
    fs::create_dir_all(&worlds).unwrap_or_else(|error| panic!("{}: {error}", worlds.display()));
    let file = worlds.join("lock");
    CLEANED.call_once(|| clean(&worlds, &file));
    if !base_path().exists() {
        let _alone = lock(&file, FlockOperation::LockExclusive);
        if !base_path().exists() {
            base::build(&base_path());
        }
    }
    lock(&file, FlockOperation::LockShared)
}

/// Removes what killed runs and other versions have left, unless somebody copies right now.
fn clean(worlds: &Path, file: &Path) {
    let lock = File::create(file).expect("the lock of the worlds");
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    let entries = fs::read_dir(worlds).expect("the directory of the worlds").flatten();
    // Not those that are kept.
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && (name.starts_with("base-") || name.starts_with("copy-"))
    };
    for world in entries.map(|entry| entry.path()).filter(ours) {
        let in_use = File::open(world.join("in-use"))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        if world != base_path() && !in_use {
            remove(&world);
        }
    }
}

fn copy_base(to: &Path) {
    copy_to(&base_path(), to);
}

fn copy_to(world: &Path, to: &Path) {
    let copied = Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([world, to])
        .status()
        .expect("cp runs");
    assert!(copied.success(), "copying the world {} to {}", world.display(), to.display());
}

fn lock(file: &Path, how: FlockOperation) -> File {
    let file = File::create(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    flock(&file, how).expect("a lock on a local file system");
    file
}

fn base_path() -> PathBuf {
    directory().join(format!("base-{}", base::version()))
}

/// Where all worlds are. podman's overlays don't work on an overlay, which the root of a container is; there, memory is the next
/// best.
pub fn directory() -> PathBuf {
    if let Some(chosen) = std::env::var_os(WORLDS) {
        return chosen.into();
    }
    let target = programs::target();
    let on_overlay = statfs(&target).is_ok_and(|system| system.f_type == OVERLAYFS);
    if on_overlay { "/dev/shm/bootc-image-worlds".into() } else { target.join("worlds") }
}
