//! Writing to a storage in the same way as podman: under its locks, with every file replaced atomically, and with a new token in the
//! lock file, from which other processes see that they must read the index again.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootc_image_os::lock;
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, renameat, renameat_with, statat, symlinkat, unlinkat};
use rustix::io::Errno;
use serde_json::{Map, Value};

use super::store::{MAX_INDEX, Store};
use crate::error::Error;

/// The name of an incomplete file.
const UNFINISHED: &str = ".tmp-bootc-image";
/// The size of the token in a lock file that identifies the last writer, in bytes.
const LAST_WRITER: usize = 64;

/// An entry of an index. Unknown fields are kept.
pub(super) type Record = Map<String, Value>;

/// A string field of an entry.
pub(super) fn text<'a>(record: &'a Record, key: &str) -> Option<&'a str> {
    record.get(key)?.as_str()
}

/// A locked storage: no other process writes to it or reads its indexes until this is dropped.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) store: &'a Store<'a>,
    root: &'a RootDir,
    layers: File,
    images: File,
}

impl<'a> Writer<'a> {
    /// Takes the storage's locks in the same order as podman.
    ///
    /// # Errors
    /// [`OsError::Locked`](bootc_image_os::error::Error::Locked); any I/O error.
    pub(super) fn lock(
        store: &'a Store<'a>,
        limit: Duration,
        reporter: &dyn Reporter,
    ) -> Result<Self, Error> {
        let root = store.root;
        let lock = |kind: &str| {
            let name = format!("{}-{kind}/{kind}.lock", store.driver());
            let (directory, file) = open_parent(root, Path::new(&name))?;
            let path = root.path(&name);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(&directory, file.as_path(), flags, Mode::from_raw_mode(0o644))
                .map_err(|error| Error::io("open", &path)(error.into()))?;
            let file = File::from(file);
            lock::wait(|| exclusive(&file), &path, limit, reporter)?;
            Ok::<_, Error>(file)
        };
        Ok(Self { store, root, layers: lock("layers")?, images: lock("images")? })
    }

    /// The entries of an index, `layers` or `images`.
    ///
    /// # Errors
    /// Any I/O error; [`OsError::Corrupt`](bootc_image_os::error::Error::Corrupt).
    pub(super) fn index(&self, kind: &str) -> Result<Vec<Record>, Error> {
        self.store.index(&format!("{}-{kind}/{kind}.json", self.store.driver()))
    }

    /// Writes the entries of an index, and a new token to its lock file.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn write_index(&self, kind: &str, records: &[Record]) -> Result<(), Error> {
        let path = PathBuf::from(format!("{}-{kind}/{kind}.json", self.store.driver()));
        let failed = |error: io::Error| self.root.error("write", &path)(error);
        let text = serde_json::to_vec(records).map_err(|error| failed(error.into()))?;
        if text.len() as u64 > MAX_INDEX {
            return Err(failed(io::ErrorKind::FileTooLarge.into()).into());
        }
        self.write(&path, &text, 0o600)?;
        let lock = if kind == "layers" { &self.layers } else { &self.images };
        let mut token = [0_u8; LAST_WRITER];
        rustix::rand::getrandom(&mut token, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| failed(error.into()))?;
        lock.write_all_at(&token, 0).map_err(failed).map_err(Error::from)
    }

    /// Writes a file atomically and syncs it.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn write(&self, path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
        let (directory, name) = open_parent(self.root, path)?;
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let mut file =
                File::from(rustix::fs::openat(&directory, UNFINISHED, flags, Mode::from_raw_mode(mode))?);
            file.write_all(contents)?;
            file.sync_all()?;
            self.remove_directory_at(&directory, &name)?;
            Ok(renameat(&directory, UNFINISHED, &directory, &name)?)
        };
        write()
            .map_err(|error| {
                let _ = unlinkat(&directory, UNFINISHED, AtFlags::empty());
                self.root.error("write", path)(error)
            })
            .map_err(Error::from)
    }

    /// Creates a symbolic link, and replaces an existing file.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn link(&self, path: &Path, target: &str) -> Result<(), Error> {
        let (directory, name) = open_parent(self.root, path)?;
        let link = || -> io::Result<()> {
            self.remove_directory_at(&directory, &name)?;
            // Remove the old one first instead of renaming over it: podman would use a temporary name that is left behind.
            match unlinkat(&directory, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(symlinkat(target, &directory, &name)?)
        };
        link().map_err(|error| self.root.error("create the link", path)(error)).map_err(Error::from)
    }

    /// Creates a directory and its parents, if they are missing.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn directory(&self, path: &Path, mode: u32) -> Result<(), Error> {
        let mut made = PathBuf::new();
        for part in path {
            made.push(part);
            let is_last = made == path;
            let mode = Mode::from_raw_mode(if is_last { mode } else { 0o700 });
            match rustix::fs::mkdirat(self.root, &made, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(self.root.error("create", &made)(error.into()).into()),
            }
        }
        Ok(())
    }

    /// Exchanges a file or directory with one of another storage on the same file system.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn exchange(&self, other: &RootDir, from: &Path, to: &Path) -> Result<(), Error> {
        let (source, source_name) = open_parent(other, from)?;
        let (target, target_name) = open_parent(self.root, to)?;
        let failed = |error: Errno| self.root.error("replace", to)(error.into());
        let exchange = RenameFlags::EXCHANGE;
        match renameat_with(&source, &source_name, &target, &target_name, exchange) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => {
                renameat(&source, &source_name, &target, &target_name).map_err(failed).map_err(Error::from)
            }
            // Not every file system supports RENAME_EXCHANGE.
            Err(Errno::INVAL | Errno::NOSYS) => {
                renameat(&target, &target_name, &source, UNFINISHED).map_err(failed)?;
                renameat(&source, &source_name, &target, &target_name).map_err(failed)?;
                renameat(&source, UNFINISHED, &source, &source_name).map_err(failed).map_err(Error::from)
            }
            Err(error) => Err(failed(error).into()),
        }
    }

    /// Removes a directory that is in the place of a file, because a rename cannot replace it. podman never creates one there.
    fn remove_directory_at(&self, directory: &RootDir, name: &Path) -> io::Result<()> {
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_directory = found.is_ok_and(|found| {
            rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::Directory
        });
        if is_directory { std::fs::remove_dir_all(directory.path(name)) } else { Ok(()) }
    }

    /// Syncs everything that was written.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn sync(&self) -> Result<(), Error> {
        sync(self.root)
    }
}

/// Syncs the file system of a storage.
///
/// # Errors
/// Any I/O error.
pub(super) fn sync(root: &RootDir) -> Result<(), Error> {
    let open = root.open_file(".").map_err(root.error("open", "."))?;
    rustix::fs::syncfs(open).map_err(|error| root.error("sync", ".")(error.into())).map_err(Error::from)
}

fn open_parent(root: &RootDir, path: &Path) -> Result<(RootDir, PathBuf), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = root.open_root(parent).map_err(root.error("open", parent))?;
    Ok((directory, path.file_name().unwrap_or_default().into()))
}

/// Takes an exclusive open file description lock. Unlike a process's record lock it is not released when another descriptor of the
/// file is closed, and podman's locks conflict with it. std only has flock(2), which does not conflict, and rustix only record locks.
fn exclusive(file: &File) -> Result<(), TryLockError> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let locked = fcntl(file.as_raw_fd(), FcntlArg::F_OFD_SETLK(&whole));
    locked.map(drop).map_err(|error| lock::refused(Errno::from_raw_os_error(error as i32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Sample;
    use bootc_image_os::reporter::doubles::Silent;

    /// Whether a lock that another process takes in the same way as podman conflicts.
    fn is_locked(path: &Path) -> bool {
        let program = "use Fcntl; open(F, '+<', $ARGV[0]); $lock = pack('s s l! l! i', F_WRLCK, 0, 0, 0, 0); \
                       exit(fcntl(F, F_SETLK, $lock) ? 0 : 1);";
        let status = std::process::Command::new("perl").args(["-e", program]).arg(path).status().unwrap();
        status.code() == Some(1)
    }

    #[test]
    fn others_are_kept_out_and_told() {
        let sample = Sample::new("overlay");
        let root = RootDir::open(sample.scratch.path()).unwrap();
        let store = Store::open(&root).unwrap();
        let lock = sample.path("overlay-layers/layers.lock");
        // A process that another test is just starting has our locks as well, for a moment.
        let limit = Duration::from_secs(60);
        let writer = Writer::lock(&store, limit, &Silent).unwrap();
        assert!(Writer::lock(&store, Duration::ZERO, &Silent).is_err());
        // That another descriptor is closed frees nothing.
        drop(File::open(&lock).unwrap());
        assert!(is_locked(&lock) && is_locked(&sample.path("overlay-images/images.lock")));
        let before = std::fs::read(&lock).unwrap();
        writer.write_index("layers", &writer.index("layers").unwrap()).unwrap();
        let after = std::fs::read(&lock).unwrap();
        assert!(after.len() == LAST_WRITER && before != after);
        drop(writer);
        drop(Writer::lock(&store, limit, &Silent).unwrap());
        assert_eq!(store.layers().unwrap().len(), 2);
    }

    #[test]
    fn what_stands_in_the_way_of_a_file_goes() {
        let sample = Sample::new("overlay");
        let root = RootDir::open(sample.scratch.path()).unwrap();
        let store = Store::open(&root).unwrap();
        let writer = Writer::lock(&store, Duration::from_secs(60), &Silent).unwrap();
        std::fs::create_dir_all(sample.path("overlay/x/link/y")).unwrap();
        writer.write(Path::new("overlay/x/link"), b"z", 0o644).unwrap();
        writer.link(Path::new("overlay/l/z"), "../x/diff").unwrap();
        writer.link(Path::new("overlay/l/z"), "../y/diff").unwrap();
        assert_eq!(std::fs::read(sample.path("overlay/x/link")).unwrap(), b"z");
        assert_eq!(root.read_link("overlay/l/z").unwrap(), Path::new("../y/diff"));
        assert_eq!(std::fs::read_dir(sample.path("overlay/x")).unwrap().count(), 1);
        let nowhere = writer.link(Path::new("overlay/l/z"), "").unwrap_err();
        let expected = format!("cannot create the link {}", sample.path("overlay/l/z").display());
        assert_eq!(nowhere.to_string(), expected);
    }
}
