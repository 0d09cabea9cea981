//! Read locks as containers-storage takes them: POSIX record locks on a whole file. A wait is reported, and has a time limit,
//! because a hung podman must not hang us silently.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::error::Error;
use crate::processes;
use crate::reporter::Reporter;

/// Where bootc-image's own locks are.
const OWN: &str = "/run/bootc-image";
/// How long a wait lasts before it is reported.
pub const QUIET: Duration = Duration::from_millis(500);
/// How often a lock is tried.
pub const INTERVAL: Duration = Duration::from_millis(20);

/// Takes a shared lock on `file`; it is held until the file is closed.
///
/// # Errors
/// [`Error::Locked`] if another process still writes after `limit`.
pub fn shared(file: &File, path: &Path, limit: Duration, reporter: &dyn Reporter) -> Result<(), Error> {
    let try_lock = || fcntl_lock(file, FlockOperation::NonBlockingLockShared).map_err(refused);
    wait(try_lock, path, limit, reporter)
}

/// Takes one of bootc-image's own locks, exclusively; it is held until the file is closed. Only root can open the file, because
/// whoever can open a file can lock it.
///
/// # Errors
/// [`Error::Locked`] if another bootc-image still has it after `limit`; [`Error::Io`].
pub fn own(name: &str, limit: Duration, reporter: &dyn Reporter) -> Result<File, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(OWN).map_err(Error::io("create", OWN))?;
    let path = Path::new(OWN).join(format!("{name}.lock"));
    let options = File::options().append(true).create(true).mode(0o600).open(&path);
    let file = options.map_err(Error::io("open", &path))?;
    wait(|| file.try_lock(), &path, limit, reporter)?;
    Ok(file)
}

/// One of bootc-image's own locks whose file is removed with it, for an unbounded set of names.
#[derive(Debug)]
pub struct Passing {
    path: PathBuf,
    _file: File,
}

/// Takes one exclusively; as [`own`].
///
/// # Errors
/// As [`own`].
pub fn passing(name: &str, limit: Duration, reporter: &dyn Reporter) -> Result<Passing, Error> {
    let path = Path::new(OWN).join(format!("{name}.lock"));
    loop {
        let file = own(name, limit, reporter)?;
        // The process that had it before may have removed the file that we have waited for.
        let locked = file.metadata().map_err(Error::io("examine", &path))?;
        let there = fs::metadata(&path).ok();
        if there.is_some_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
            return Ok(Passing { path, _file: file });
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // It is removed while it is locked, so that a waiting process notices that its file is gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// The process that holds a lock on this file, in words, as far as `/proc/locks` shows it.
pub fn holder(path: &Path) -> String {
    let unknown = || "another process".to_owned();
    let (Ok(file), Ok(locks)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return unknown();
    };
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let ours = std::process::id();
    let held = locks.lines().filter(|line| !line.contains("->")).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(4);
        let (pid, file) = (words.next()?.parse::<i32>().ok()?, words.next()?);
        (file == wanted && pid > 0 && pid.unsigned_abs() != ours).then_some(pid)
    });
    held.map_or_else(unknown, process)
}

/// A process, by its id and name.
pub fn process(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("process {pid} ({})", name.trim_end())
}

/// Reports which lock is waited for.
pub fn say_waiting(path: &Path, holder: &str, limit: Duration, reporter: &dyn Reporter) {
    let (path, limit) = (path.display(), limit.as_secs());
    reporter.note(&format!("waiting for {path}, locked by {holder} (at most {limit} s)"));
}

/// Converts the error of a record lock to that of a lock on a whole file.
pub fn refused(error: Errno) -> TryLockError {
    match error {
        Errno::AGAIN | Errno::ACCESS => TryLockError::WouldBlock,
        error => TryLockError::Error(error.into()),
    }
}

/// Tries until the lock is taken, and reports a long wait.
///
/// # Errors
/// [`Error::Locked`] if it is not taken after `limit`; [`Error::Io`].
pub fn wait(
    try_lock: impl Fn() -> Result<(), TryLockError>,
    path: &Path,
    limit: Duration,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let start = Instant::now();
    let mut said = false;
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
        processes::check_interrupted()?;
        let waited = start.elapsed();
        if waited >= limit {
            return Err(Error::Locked { path: path.to_owned(), holder: holder(path), limit });
        }
        if waited >= QUIET && !said {
            say_waiting(path, &holder(path), limit, reporter);
            said = true;
        }
        std::thread::sleep(INTERVAL);
    }
}
