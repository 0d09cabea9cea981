//! Where the lines of the record go: one after the other, whole, each once, whatever happens beside us to the file or to the
//! room on its file system.
//!
//! - A writer holds a lock from opening the file until the line is in it. A rotation renames the file and takes the
//!   lock once: from then on no process writes to the file that was renamed (`dist/logrotate`).
//! - A line for which there is no room is taken back. What the operation's kind allows is then tried in turn: the reserve, the
//!   file system's own reserve, a file below `/run` that is appended to the record before any other line (ADR 0011).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bootc_image_os::error::Error as OsError;
use bootc_image_os::files::{private_directory, replace};
use bootc_image_os::lock::holder;
use bootc_image_os::room::{Lowered, Reserve, is_full};
use rustix::fs::{Gid, OFlags};

use crate::error::Error;

/// The record's name in its directory.
const NAME: &str = "audit.jsonl";
/// Where the lock and the lines that have to wait are.
const RUN: &str = "/run/bootc-image/audit";
const LOCK: &str = "lock";
const WAITING: &str = "waiting.jsonl";
/// How many refusals there were that were only counted.
const COUNTED: &str = "counted";
/// What refusals leave of a file system: a 32nd part, but not more than this. Everybody who may ask can have one recorded.
const FLOOR: u64 = 64 << 20;
/// How long another process may hold the lock, which is needed while a line is written, or those that had to wait.
const LIMIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(2);
/// How often the file may be gone when we have written to it.
const ATTEMPTS: usize = 16;

/// What may be used up for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// What is free above the floor; below it the line is only counted.
    Spare,
    /// What is free above the floor; below it there is none.
    AboveFloor,
    /// What is free.
    Free,
    /// The reserves too; and if there are none, the line may wait.
    Reserved,
}

#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    run: PathBuf,
    reserve: Reserve,
}

impl Journal {
    /// The record in `directory`; its reserve is beside that.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self::with_run(directory, RUN.into())
    }

    pub(super) fn with_run(directory: PathBuf, run: PathBuf) -> Self {
        let reserve = Reserve::new(directory.with_file_name("reserve"));
        Self { directory, run, reserve }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    pub(super) fn waiting(&self) -> PathBuf {
        self.run.join(WAITING)
    }

    /// Writes a line. It is on disk when this returns, or waits, or is counted, if that is allowed. `of_counted` is the line for
    /// this many that were only counted before.
    ///
    /// # Errors
    /// The system's; [`OsError::Locked`].
    pub(super) fn append(
        &self,
        line: &[u8],
        room: Room,
        of_counted: &dyn Fn(u64) -> Result<Vec<u8>, Error>,
    ) -> Result<(), Error> {
        // Not with the lock held: writers don't wait for each other's disks.
        match self.append_alone(line, room, of_counted)? {
            Some(file) => sync(&file, &self.path()),
            None => Ok(()),
        }
    }

    /// Makes or fills up the reserve.
    pub(super) fn keep_reserve(&self) {
        Lowered::restore(&self.directory);
        self.reserve.keep();
    }

    /// Appends the lines that had to wait, if there is room now. Returns how many still wait.
    ///
    /// # Errors
    /// As [`Journal::append`], but for the want of room.
    pub(super) fn settle(&self, of_counted: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<usize, Error> {
        if !self.has_waiting() {
            return Ok(0);
        }
        match self.append(&[], Room::Free, of_counted) {
            Err(error) if is_full_disk(&error) => {
                let waiting = fs::read(self.waiting()).map_err(Error::io("read", self.waiting()))?;
                Ok(waiting.iter().filter(|byte| **byte == b'\n').count())
            }
            settled => settled.map(|()| 0),
        }
    }

    /// Appends a line, after those that had to wait. Returns the file, which isn't on disk yet; none: the line has to wait.
    fn append_alone(
        &self,
        line: &[u8],
        room: Room,
        of_counted: &dyn Fn(u64) -> Result<Vec<u8>, Error>,
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
            // The process that appended it may have been killed before it could be removed.
            if !self.ends_with(&waiting)? {
                written = self.write(&waiting, room).and_then(|file| sync(&file, &self.path()));
            }
            if written.is_ok() {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        if written.is_ok() && room != Room::Reserved && !line.is_empty() {
            written = self.settle_counted(of_counted);
        }
        match written.and_then(|()| self.write(line, room)) {
            Err(error) if room == Room::Reserved && is_full_disk(&error) => {
                self.let_wait(line).map(|()| None)
            }
            written => written.map(Some),
        }
    }

    /// Appends whole lines or nothing, with the lock held.
    fn write(&self, lines: &[u8], room: Room) -> Result<File, Error> {
        let attempt = || self.write_where_it_stays(lines);
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

    /// A rotation without the lock may have removed the file since it was opened, after compressing it without these lines.
    fn write_where_it_stays(&self, lines: &[u8]) -> Result<File, Error> {
        for _ in 0..ATTEMPTS {
            let file = self.try_to_write(lines)?;
            if file.metadata().map_err(Error::io("examine", self.path()))?.nlink() > 0 {
                return Ok(file);
            }
        }
        let source = io::Error::other("the file was removed repeatedly while it was being written");
        Err(OsError::Io { what: "write", path: self.path(), source }.into())
    }

    fn try_to_write(&self, lines: &[u8]) -> Result<File, Error> {
        let path = self.path();
        let mut file = self.open()?;
        if lines.is_empty() {
            return Ok(file);
        }
        let length = file.metadata().map_err(Error::io("examine", &path))?.len();
        // Half a line of a process that was killed must not spoil this one.
        let is_ended = ends_in_newline(&file, length).map_err(Error::io("read", &path))?;
        let text = if is_ended { lines.to_vec() } else { [b"\n", lines].concat() };
        let written = file.write(&text).map_err(Error::io("write", &path))?;
        if written == text.len() {
            return Ok(file);
        }
        // Where the file can only be appended to (`chattr +a`), the next line begins after what there is of this one.
        if let Err(error) = file.set_len(length) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an incomplete line from the audit record");
        }
        Err(Error::io("write", &path)(io::ErrorKind::StorageFull.into()))
    }

    /// Keeps a line until there is room, for as long as the machine runs.
    fn let_wait(&self, line: &[u8]) -> Result<(), Error> {
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

    /// Whether a refusal leaves enough room to what is done. If that is unknown, so that nothing keeps it from being recorded.
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
            // Written in part before a crash: it was one at least.
            text => text.map(|text| text.trim().parse().unwrap_or(1)).map_err(Error::io("read", &path)),
        }
    }

    /// With the lock held.
    fn count(&self) -> Result<(), Error> {
        let path = self.run.join(COUNTED);
        let count = self.counted()?.saturating_add(1);
        replace(&path, &path.with_extension("new"), 0o600, |file| writeln!(file, "{count}"))
            .map_err(Error::io("write", &path))
    }

    /// Says in the record how many lines were only counted, with the lock held.
    fn settle_counted(&self, line: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<(), Error> {
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

    /// Held until it is dropped. Only root can open it: a process that can read a file can lock it.
    fn lock(&self) -> Result<File, Error> {
        private_directory(&self.run).map_err(Error::io("create", &self.run))?;
        let path = self.run.join(LOCK);
        let options = File::options().append(true).create(true).mode(0o600).open(&path);
        let file = options.map_err(Error::io("open", &path))?;
        let start = Instant::now();
        // Being asked to end doesn't end this: what was done must be recorded.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::io("lock", &path)(error));
                }
                // A signal, or another process.
                Err(_) if start.elapsed() < LIMIT => std::thread::sleep(INTERVAL),
                Err(_) => return Err(OsError::Locked { holder: holder(&path), path, limit: LIMIT }.into()),
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
            return Err(OsError::Io { what: "use", path: directory.clone(), source }.into());
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
        see_to_mode(&file, &path, us, group)?;
        if found.is_err() {
            sync_directory(directory)?;
        }
        Ok(file)
    }
}

fn is_full_disk(error: &Error) -> bool {
    matches!(error, Error::Os(OsError::Io { source, .. }) if is_full(source))
}

fn not_a_file(path: PathBuf) -> Error {
    let source = io::Error::other(
        "it must be a regular file owned by root, not a link; move it away, and a new one is created",
    );
    OsError::Io { what: "use", path, source }.into()
}

/// The record is root's; the group that may enter its directory may read it, and nobody else.
fn see_to_mode(file: &File, path: &Path, us: u32, group: Option<u32>) -> Result<(), Error> {
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
            // The group that it had reads nothing of what comes.
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
