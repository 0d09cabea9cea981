//! Directories for what is needed for a while. Whoever makes one holds a lock on it as long as it lives, so that what a
//! killed process has left is told from what is in use.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bootc_image_model::digest::is_hex;
use rustix::fs::OFlags;

use crate::error::Error;

/// Where there is room for whole images, and others can't remove what is ours.
pub const PARENT: &str = "/var/tmp";
/// What their names begin with.
const PREFIX: &str = "bootc-image.";

/// A directory of our own, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Whether it is left where it is.
    stays: bool,
    _lock: File,
}

impl Scratch {
    /// Makes one that only root can enter.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Error> {
        Self::in_directory(Path::new(PARENT))
    }

    /// As [`Scratch::new`], in another directory that only root can write to.
    ///
    /// # Errors
    /// The system's.
    pub fn in_directory(parent: &Path) -> Result<Self, Error> {
        loop {
            let path = parent.join(format!("{PREFIX}{}", random_name()?));
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
            // Another process may take it for abandoned until it is locked.
            if let Some(lock) = lock_unused(&path).map_err(Error::io("lock", &path))? {
                return Ok(Self { path, stays: false, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in it.
    ///
    /// # Errors
    /// The system's.
    pub fn directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }
}

impl Scratch {
    /// Leaves it where it is: the next one who looks for abandoned directories may remove it.
    pub fn leave(&mut self) {
        self.stays = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the temporary directory");
        }
    }
}

fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io("read", "random bytes")(error.into()))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// As [`Scratch::new`] makes them, and nobody else would.
fn is_our_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).unwrap_or_default();
    is_hex(random, 16)
}

/// Locks a directory of ours that nobody else has locked or removed.
fn lock_unused(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let options = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let directory = match options {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let still_there = fs::symlink_metadata(path).is_ok_and(|found| {
        directory.metadata().is_ok_and(|locked| (locked.dev(), locked.ino()) == (found.dev(), found.ino()))
    });
    Ok(still_there.then_some(directory))
}

/// Removes the directories of processes that are gone. Nothing depends on it.
pub fn remove_abandoned() {
    remove_abandoned_in(Path::new(PARENT), &|_| false);
}

/// As [`remove_abandoned`], in another directory, but for those that are still needed.
pub fn remove_abandoned_in(parent: &Path, is_needed: &dyn Fn(&Path) -> bool) {
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(is_our_name)
            && entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == us && found.mode() & 0o777 == 0o700);
        if ours
            && let Ok(Some(_lock)) = lock_unused(&entry.path())
            && !is_needed(&entry.path())
        {
            tracing::info!(path = %entry.path().display(), "removing a temporary directory that a killed process left behind");
            // What can't be removed now is there for the next one.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_is_abandoned_goes() {
        let kept = Scratch::new().unwrap();
        let abandoned = Path::new(PARENT).join(format!("{PREFIX}{}", random_name().unwrap()));
        DirBuilder::new().mode(0o700).create(&abandoned).unwrap();
        fs::write(abandoned.join("file"), "x").unwrap();
        let another = Scratch::new().unwrap();
        remove_abandoned();
        assert!(kept.path().is_dir() && another.path().is_dir() && !abandoned.exists());
        let path = kept.path().to_owned();
        drop(kept);
        assert!(!path.exists());
    }
}
