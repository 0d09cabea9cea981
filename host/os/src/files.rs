//! How files of ours are made: whole or not at all, and where nobody else can enter what is nobody else's.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Makes a directory that only its owner can enter. Those above it are for everybody: plugins are found in one of them.
pub fn private_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file under another name first, `unfinished` in the same directory: under its own name it is whole, and what it
/// holds is on disk. After an error what was there before is still there.
///
/// # Errors
/// What `fill` returns; the system's.
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
}
