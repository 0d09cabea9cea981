//! Reading a directory tree as if it were `/`: absolute links resolve inside it, and no path leads out of it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, statat};
use rustix::io::Errno;

use crate::error::Error;
use crate::files::read_at_most;

/// An open directory that is treated as `/`.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Its type, without following links.
    pub file_type: FileType,
}

impl Entry {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.file_type == FileType::Directory
    }
}

impl RootDir {
    /// Opens a directory as a root.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let fd = rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path })
    }

    /// The full path of something inside, for messages.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        match inside.as_ref().strip_prefix("/").unwrap_or(inside.as_ref()) {
            itself if itself == Path::new(".") => self.path.clone(),
            inside => self.path.join(inside),
        }
    }

    fn open_inside(&self, inside: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // openat2 fails with EAGAIN when a concurrent rename could have led out of the root; try again.
        for _ in 0..64 {
            match rustix::fs::openat2(&self.fd, inside, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(rustix::io::Errno::AGAIN) => {}
                other => return Ok(other?),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// A directory inside, as a root of its own.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_root(&self, inside: impl AsRef<Path>) -> io::Result<Self> {
        let inside = inside.as_ref();
        let fd = self.open_inside(inside, OFlags::DIRECTORY | OFlags::PATH)?;
        Ok(Self { fd, path: self.path(inside) })
    }

    /// A file or directory inside, for reading.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_file(&self, inside: impl AsRef<Path>) -> io::Result<File> {
        // NONBLOCK: a FIFO in place of a file must not hang us; the flag has no effect on regular files.
        Ok(File::from(self.open_inside(inside.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?))
    }

    /// The contents of a regular file of at most `max` bytes.
    ///
    /// # Errors
    /// Any I/O error; `InvalidData` if it is not a regular file, or is larger.
    pub fn read(&self, inside: impl AsRef<Path>, max: u64) -> io::Result<Vec<u8>> {
        let file = self.open_file(inside)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
        }
        let too_large =
            || io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {max} bytes"));
        read_at_most(file, max)?.ok_or_else(too_large)
    }

    /// As [`RootDir::read`], for UTF-8 text.
    ///
    /// # Errors
    /// As [`RootDir::read`]; `InvalidData` if it is not valid UTF-8.
    pub fn read_text(&self, inside: impl AsRef<Path>, max: u64) -> io::Result<String> {
        String::from_utf8(self.read(inside, max)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
    }

    /// The entries of a directory, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn entries(&self, inside: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
        let directory = self.open_inside(inside.as_ref(), OFlags::DIRECTORY | OFlags::RDONLY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            let file_type = match entry.file_type() {
                // Not every file system returns the type.
                FileType::Unknown => match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                file_type => file_type,
            };
            entries.push(Entry { name, file_type });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The metadata of a path inside, following links.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn stat(&self, inside: impl AsRef<Path>) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(self.open_inside(inside.as_ref(), OFlags::PATH)?)?)
    }

    /// Whether a path inside exists, following links.
    ///
    /// # Errors
    /// Any I/O error except `NotFound`.
    pub fn exists(&self, inside: impl AsRef<Path>) -> io::Result<bool> {
        match self.stat(inside) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The target of a link inside, as written. Links in the path before its last part are followed.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn read_link(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        let inside = inside.as_ref();
        let link = self.open_inside(inside, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The device and inode number of the directory itself.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statat(&self.fd, "", AtFlags::EMPTY_PATH)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Converts an I/O error about `inside`, for `map_err`.
    pub fn error(&self, what: &'static str, inside: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        Error::io(what, self.path(inside))
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/inside"), "in").unwrap();
        std::fs::write(scratch.path().join("outside"), "out").unwrap();
        symlink("/etc/inside", root.join("absolute")).unwrap();
        symlink("../outside", root.join("upwards")).unwrap();
        symlink("/proc/self/root/etc/hostname", root.join("magic")).unwrap();
        let root = RootDir::open(root).unwrap();
        assert_eq!(root.read_text("absolute", 10).unwrap(), "in");
        assert!(root.read("upwards", 10).is_err());
        assert!(root.read("../outside", 10).is_err());
        assert!(root.read("magic", 10).is_err());
        assert_eq!(root.read_link("absolute").unwrap(), Path::new("/etc/inside"));
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("file"), [b'x'; 100]).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, scratch.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        let root = RootDir::open(scratch.path()).unwrap();
        assert_eq!(root.read("file", 100).unwrap().len(), 100);
        for (name, max, why) in [
            ("file", 99, "it is larger than 99 bytes"),
            ("pipe", 100, "it is not a regular file"),
            (".", 100, "it is not a regular file"),
        ] {
            let error = root.read(name, max).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidData, why.to_owned()));
        }
    }
}
