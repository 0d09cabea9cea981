//! Creating private directories and files in memory, replacing files atomically, and reading files with a size limit.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{MemfdFlags, OFlags, memfd_create};
use rustix::io::Errno;

/// Creates a directory that only its owner can enter. Missing parents become accessible to everybody, because one of them has plugins.
pub fn private_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file atomically: writes `unfinished`, in the same directory, syncs it, and renames it to `path`. After an error the
/// previous file is still there.
///
/// # Errors
/// The error of `fill`; any I/O error.
pub fn replace(
    path: &Path,
    unfinished: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let write = || {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(unfinished)?;
        fill(&mut file)?;
        file.sync_all()?;
        fs::rename(unfinished, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(unfinished);
    })
}

/// An anonymous file in memory, which exists until its last descriptor is closed. Its name appears in `/proc/PID/fd`.
///
/// # Errors
/// Any I/O error.
pub fn in_memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// As [`in_memory`], and it can be sealed: then nobody can change it any more, not even we.
///
/// # Errors
/// Any I/O error.
pub fn in_memory_sealable(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
}

/// As [`in_memory_sealable`], and it may be executed where the system lets it: a library can be loaded from it either way. Kernels
/// before 6.3 have no such flag, and all files may be executed there; with `vm.memfd_noexec=2`, newer ones refuse every file that may.
///
/// # Errors
/// Any I/O error.
pub fn in_memory_executable(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => in_memory_sealable(name),
        Err(Errno::ACCESS) => Ok(File::from(memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)?)),
        made => Ok(File::from(made?)),
    }
}

/// Reads up to the end of file, or returns `None` once there are more than `most` bytes.
///
/// # Errors
/// Any I/O error.
pub fn read_at_most(source: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut contents = Vec::new();
    source.take(most + 1).read_to_end(&mut contents)?;
    Ok((contents.len() as u64 <= most).then_some(contents))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, unfinished) = (scratch.path().join("a"), scratch.path().join(".a"));
        replace(&path, &unfinished, 0o600, |file| file.write_all(b"one")).unwrap();
        let failing = |file: &mut File| file.write_all(b"tw").and(Err(io::ErrorKind::StorageFull.into()));
        assert!(replace(&path, &unfinished, 0o600, failing).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert!(!unfinished.exists());
        std::os::unix::fs::symlink("elsewhere", &unfinished).unwrap();
        assert!(replace(&path, &unfinished, 0o600, |_| Ok(())).is_err());
        assert!(!scratch.path().join("elsewhere").exists());
    }

    #[test]
    fn not_more_is_read_than_the_limit() {
        assert_eq!(read_at_most(&b"abc"[..], 3).unwrap().unwrap(), b"abc");
        assert_eq!(read_at_most(&b""[..], 0).unwrap().unwrap(), b"");
        let mut long = &b"abcdef"[..];
        assert_eq!(read_at_most(&mut long, 3).unwrap(), None);
        assert_eq!(long, b"ef");
    }
}
