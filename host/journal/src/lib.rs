//! Writes the lines of the audit record: in order, complete, and each once, even if other processes rotate the file or fill its file
//! system.
//!
//! - A writer holds a lock from opening the file until the line is written. A rotation renames the file and takes the lock once, so
//!   no process writes to the renamed file afterwards (`dist/logrotate`).
//! - A line that does not fit is removed again. Depending on the operation, more space is then tried in turn: our reserve, the file
//!   system's own reserve, and a file below `/run` that is appended to the record before any other line
//!   (docs/adr/0011-full-disks.md).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bootc_image_os::error::Error;
use bootc_image_os::files::{private_directory, replace};
use bootc_image_os::lock::holder;
use bootc_image_os::room::{Lowered, Reserve, is_full};
use rustix::fs::{Gid, OFlags};

const NAME: &str = "audit.jsonl";
/// Directory of the lock, and of lines that wait for space.
const RUN: &str = "/run/bootc-image/audit";
const LOCK: &str = "lock";
const WAITING: &str = "waiting.jsonl";
/// File with the number of denials that were counted instead of recorded.
const COUNTED: &str = "counted";
/// Denials leave this much of the file system free, or 1/32 of it if that is less: any caller can cause denials.
const FLOOR: u64 = 64 << 20;
/// How long another process may hold the lock. It is held while lines are written.
const LIMIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(2);
/// How often writing is tried again if the file was removed meanwhile.
const ATTEMPTS: usize = 16;

/// The space that a line may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Free space above [`FLOOR`]. Below it the line is only counted.
    Spare,
    /// Free space above [`FLOOR`]. Below it writing fails.
    AboveFloor,
    /// All free space.
    Free,
    /// Also the reserves. Without space the line waits in `/run`.
    Reserved,
}

/// The file with the lines, its lock and its reserve.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    run: PathBuf,
    reserve: Reserve,
}

impl Journal {
    /// The reserve is a file next to `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self::with_run(directory, RUN.into())
    }

    /// As [`Journal::new`], with another directory than `/run/bootc-image/audit`.
    pub fn with_run(directory: PathBuf, run: PathBuf) -> Self {
        let reserve = Reserve::new(directory.with_file_name("reserve"));
        Self { directory, run, reserve }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// The file in which lines wait for space.
    pub fn waiting(&self) -> PathBuf {
        self.run.join(WAITING)
    }

    /// Writes a line. When this returns it is on disk or, as far as `room` allows that, waits or was counted. `counted_line` makes the
    /// line about a number of counted denials.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Locked`].
    pub fn append(
        &self,
        line: &[u8],
        room: Room,
        counted_line: &dyn Fn(u64) -> Result<Vec<u8>, Error>,
    ) -> Result<(), Error> {
        // Without the lock, so that writers do not wait for each other's syncs.
        match self.append_locked(line, room, counted_line)? {
            Some(file) => sync(&file, &self.path()),
            None => Ok(()),
        }
    }

    /// Creates or refills the reserve.
    pub fn keep_reserve(&self) {
        Lowered::restore(&self.directory);
        self.reserve.keep();
    }

    /// Appends the waiting lines if there is space now. Returns how many still wait.
    ///
    /// # Errors
    /// As [`Journal::append`], except for lack of space.
    pub fn flush_waiting(
        &self,
        counted_line: &dyn Fn(u64) -> Result<Vec<u8>, Error>,
    ) -> Result<usize, Error> {
        if !self.has_waiting() {
            return Ok(0);
        }
        match self.append(&[], Room::Free, counted_line) {
            Err(error) if is_full_disk(&error) => {
                let waiting = fs::read(self.waiting()).map_err(Error::io("read", self.waiting()))?;
                Ok(waiting.iter().filter(|byte| **byte == b'\n').count())
            }
            flushed => flushed.map(|()| 0),
        }
    }

    /// Appends the waiting lines and then this one, with the lock held. Returns the file, which is not synced yet, or none if the line
    /// waits or was counted.
    fn append_locked(
        &self,
        line: &[u8],
        room: Room,
        counted_line: &dyn Fn(u64) -> Result<Vec<u8>, Error>,
    ) -> Result<Option<File>, Error> {
        let _lock = self.lock()?;
        if room == Room::Spare && !self.is_above_floor() {
            return self.count().map(|()| None);
        }
        if room == Room::AboveFloor && !self.is_above_floor() {
            return Err(Error::io("write", self.path())(io::ErrorKind::StorageFull.into()));
        }
        let path = self.waiting();
        let waiting = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(Error::io("read", &path))?,
        };
        let mut written = Ok(());
        if !waiting.is_empty() {
            // The process that appended these lines may have been killed before it removed the file.
            if !self.ends_with(&waiting)? {
                written = self.write(&waiting, room).and_then(|file| sync(&file, &self.path()));
            }
            if written.is_ok() {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        if written.is_ok() && room != Room::Reserved && !line.is_empty() {
            written = self.flush_counted(counted_line);
        }
        match written.and_then(|()| self.write(line, room)) {
            Err(error) if room == Room::Reserved && is_full_disk(&error) => self.defer(line).map(|()| None),
            written => written.map(Some),
        }
    }

    /// Appends complete lines or nothing. Needs the lock.
    fn write(&self, lines: &[u8], room: Room) -> Result<File, Error> {
        let attempt = || self.write_until_linked(lines);
        let is_short = |result: &Result<File, Error>| result.as_ref().is_err_and(is_full_disk);
        let mut result = attempt();
        while room == Room::Reserved && is_short(&result) && self.reserve.give_up_some() {
            result = attempt();
        }
        if room == Room::Reserved && is_short(&result) {
            let there = self.directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
            let mut lowered = Lowered::below(there);
            while let Some(lowered) = &mut lowered {
                result = attempt();
                if !is_short(&result) || !lowered.further() {
                    break;
                }
            }
        }
        result
    }

    /// Tries again if the file has no name any more: a rotation without the lock may have compressed and removed it since it was
    /// opened, without these lines.
    fn write_until_linked(&self, lines: &[u8]) -> Result<File, Error> {
        for _ in 0..ATTEMPTS {
            let file = self.try_to_write(lines)?;
            if file.metadata().map_err(Error::io("examine", self.path()))?.nlink() > 0 {
                return Ok(file);
            }
        }
        let source = io::Error::other("the file was removed repeatedly while it was being written");
        Err(Error::Io { what: "write", path: self.path(), source })
    }

    fn try_to_write(&self, lines: &[u8]) -> Result<File, Error> {
        let path = self.path();
        let mut file = self.open()?;
        if lines.is_empty() {
            return Ok(file);
        }
        let length = file.metadata().map_err(Error::io("examine", &path))?.len();
        // Start a new line after an incomplete one of a process that was killed.
        let is_ended = ends_in_newline(&file, length).map_err(Error::io("read", &path))?;
        let text = if is_ended { lines.to_vec() } else { [b"\n", lines].concat() };
        let written = file.write(&text).map_err(Error::io("write", &path))?;
        if written == text.len() {
            return Ok(file);
        }
        // Fails for an append-only file (`chattr +a`). The next line then starts after the incomplete one.
        if let Err(error) = file.set_len(length) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an incomplete line from the audit record");
        }
        Err(Error::io("write", &path)(io::ErrorKind::StorageFull.into()))
    }

    /// Keeps a line until there is space, but not across a reboot.
    fn defer(&self, line: &[u8]) -> Result<(), Error> {
        let path = self.waiting();
        let options = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let mut file = options.map_err(Error::io("open", &path))?;
        let before = file.metadata().map_err(Error::io("examine", &path))?.len();
        file.write_all(line).and_then(|()| file.sync_all()).map_err(|error| {
            let _ = file.set_len(before);
            Error::io("write", &path)(error)
        })
    }

    /// Whether there is more free space than denials may use up. True if unknown, so that denials are recorded.
    fn is_above_floor(&self) -> bool {
        let there = self.directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        rustix::fs::statvfs(there).map_or(true, |system| {
            let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
            bytes(system.f_bavail) >= FLOOR.min(bytes(system.f_blocks) / 32)
        })
    }

    fn counted(&self) -> Result<u64, Error> {
        let path = self.run.join(COUNTED);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            // Incomplete after a crash: at least one.
            text => text.map(|text| text.trim().parse().unwrap_or(1)).map_err(Error::io("read", &path)),
        }
    }

    /// Needs the lock.
    fn count(&self) -> Result<(), Error> {
        let path = self.run.join(COUNTED);
        let count = self.counted()?.saturating_add(1);
        replace(&path, &path.with_extension("new"), 0o600, |file| writeln!(file, "{count}"))
            .map_err(Error::io("write", &path))
    }

    /// Records how many denials were only counted. Needs the lock.
    fn flush_counted(&self, line: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<(), Error> {
        let count = self.counted()?;
        if count == 0 {
            return Ok(());
        }
        self.write(&line(count)?, Room::Free).and_then(|file| sync(&file, &self.path()))?;
        let path = self.run.join(COUNTED);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// Whether the record ends with these lines.
    fn ends_with(&self, text: &[u8]) -> Result<bool, Error> {
        let path = self.path();
        let read = || -> io::Result<bool> {
            let file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                file => file?,
            };
            let Some(start) = file.metadata()?.len().checked_sub(text.len() as u64) else { return Ok(false) };
            let mut end = vec![0; text.len()];
            file.read_exact_at(&mut end, start)?;
            Ok(end == text)
        };
        read().map_err(Error::io("read", &path))
    }

    fn has_waiting(&self) -> bool {
        fs::metadata(self.waiting()).is_ok_and(|waiting| waiting.len() > 0)
    }

    /// Takes the lock, which is held until the file is dropped. Only root can open it, because whoever can read a file can lock it.
    fn lock(&self) -> Result<File, Error> {
        private_directory(&self.run).map_err(Error::io("create", &self.run))?;
        let path = self.run.join(LOCK);
        let options = File::options().append(true).create(true).mode(0o600).open(&path);
        let file = options.map_err(Error::io("open", &path))?;
        let start = Instant::now();
        // Signals do not interrupt this: what was done must be recorded.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::io("lock", &path)(error));
                }
                // A signal, or another process.
                Err(_) if start.elapsed() < LIMIT => std::thread::sleep(INTERVAL),
                Err(_) => return Err(Error::Locked { holder: holder(&path), path, limit: LIMIT }),
            }
        }
    }

    fn open(&self) -> Result<File, Error> {
        let directory = &self.directory;
        private_directory(directory).map_err(Error::io("create", directory))?;
        let us = rustix::process::geteuid().as_raw();
        let owned = fs::symlink_metadata(directory).map_err(Error::io("examine", directory))?;
        if !owned.is_dir() || owned.uid() != us || owned.mode() & 0o027 != 0 {
            let source = io::Error::other(
                "it must be a directory owned by root with mode 0700, or 0750 if a group may read the record",
            );
            return Err(Error::Io { what: "use", path: directory.clone(), source });
        }
        let group = (owned.mode() & 0o010 != 0).then(|| owned.gid());
        let path = self.path();
        let found = fs::symlink_metadata(&path);
        if found.as_ref().is_ok_and(|found| !found.is_file()) {
            return Err(not_a_file(path));
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(Error::io("open", &path))?;
        fix_mode(&file, &path, us, group)?;
        if found.is_err() {
            sync_directory(directory)?;
        }
        Ok(file)
    }
}

fn is_full_disk(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if is_full(source))
}

fn not_a_file(path: PathBuf) -> Error {
    let source = io::Error::other(
        "it must be a regular file owned by root, not a link; move it away, and a new one is created",
    );
    Error::Io { what: "use", path, source }
}

/// Corrects mode and group: root owns the record, and only a group with access to its directory can read it.
fn fix_mode(file: &File, path: &Path, us: u32, group: Option<u32>) -> Result<(), Error> {
    let found = file.metadata().map_err(Error::io("examine", path))?;
    if !found.is_file() || found.uid() != us {
        return Err(not_a_file(path.to_owned()));
    }
    let mode = if group.is_some() { 0o640 } else { 0o600 };
    let other_group = group.filter(|group| *group != found.gid());
    if found.mode() & 0o7777 == mode && other_group.is_none() {
        return Ok(());
    }
    if found.mode() & 0o022 != 0 {
        tracing::warn!(path = %path.display(), "the audit record was writable by users other than root; its mode is corrected");
    }
    let set = |mode| file.set_permissions(fs::Permissions::from_mode(mode));
    let change = || -> io::Result<()> {
        if let Some(group) = other_group {
            // The previous group must not be able to read new lines.
            set(0o600)?;
            rustix::fs::fchown(file, None, Some(Gid::from_raw(group)))?;
        }
        set(mode)
    };
    change().map_err(Error::io("change the mode of", path))
}

fn ends_in_newline(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

fn sync(file: &File, path: &Path) -> Result<(), Error> {
    file.sync_data().map_err(Error::io("sync", path))
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io("sync", path))
}
