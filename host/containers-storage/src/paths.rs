//! Paths within a layer.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use bootc_image_os::root::RootDir;
use rustix::fs::{AtFlags, Stat, statat};
use rustix::io::Errno;

/// The metadata of a file, without following links; `None` if it is missing or damaged.
pub(super) fn look(directory: &RootDir, name: &[u8]) -> io::Result<Option<Stat>> {
    let found = statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
    if_there(found.map_err(io::Error::from))
}

/// `None` if it is missing, or the file system cannot read it any more.
pub(super) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error means that the data is damaged, as opposed to a temporary failure.
pub(super) fn is_damage(error: &io::Error) -> bool {
    const SIGNS: [Errno; 8] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::IO,
        Errno::UCLEAN,
        Errno::STALE,
    ];
    let kind = error.kind();
    Errno::from_io_error(error).is_some_and(|errno| SIGNS.contains(&errno))
        || matches!(
            kind,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
        )
}

/// The normalised path within the layer; `None` for the layer itself and for paths outside.
pub(super) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join(&b'/')) }
}

/// The directory and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

pub(super) fn path_of(path: &[u8]) -> PathBuf {
    if path.is_empty() { ".".into() } else { OsStr::from_bytes(path).into() }
}

/// A path in a layer, for a message.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).escape_debug())
}
