//! Temporary directories. The process that creates one holds a lock on it, so that directories of killed processes can be told
//! from those in use.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bootc_image_model::digest::is_hex;
use rustix::fs::OFlags;

use crate::error::Error;

/// A directory with enough space for images, whose sticky bit keeps others from removing our files.
pub const PARENT: &str = "/var/tmp";
/// The prefix of their names.
const PREFIX: &str = "bootc-image.";

/// A temporary directory, which is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Whether it is kept when this is dropped.
    is_kept: bool,
    _lock: File,
}

impl Scratch {
    /// Creates one that only root can enter.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn new() -> Result<Self, Error> {
        Self::in_directory(Path::new(PARENT))
    }

    /// As [`Scratch::new`], in another directory that only root can write to.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn in_directory(parent: &Path) -> Result<Self, Error> {
        loop {
            let path = parent.join(format!("{PREFIX}{}", random_name()?));
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
            // Until it is locked, another process may take it for abandoned and remove it.
            if let Some(lock) = lock_unused(&path).map_err(Error::io("lock", &path))? {
                return Ok(Self { path, is_kept: false, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a directory in it.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }
}

impl Scratch {
    /// Keeps it when this is dropped. A later [`remove_abandoned_in`] may remove it.
    pub fn leave(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_kept {
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

/// Whether this is a name as [`Scratch::new`] chooses them.
fn is_our_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).unwrap_or_default();
    is_hex(random, 16)
}

/// Locks a directory, unless another process has locked or removed it.
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

/// Removes the directories of processes that have exited. Failures are ignored.
pub fn remove_abandoned() {
    remove_abandoned_in(Path::new(PARENT), &|_| false);
}

/// As [`remove_abandoned`], in another directory, except those that are still needed.
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
            // A later call removes what cannot be removed now.
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
