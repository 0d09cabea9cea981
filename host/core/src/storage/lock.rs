//! Read locks as containers-storage takes them: POSIX record locks on a whole file. Waiting is said, and has a limit
//! (D11.9).

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::error::Error;
use crate::talk::Talk;

/// How long we wait before saying so.
const QUIET: Duration = Duration::from_millis(500);
/// How often we look.
const INTERVAL: Duration = Duration::from_millis(20);

/// Takes a shared lock on `file`; it is held until the file is closed.
///
/// # Errors
/// [`Error::Locked`] if somebody still writes after `limit`.
pub fn shared(file: &File, path: &Path, limit: Duration, talk: &dyn Talk) -> Result<(), Error> {
    wait(|| fcntl_lock(file, FlockOperation::NonBlockingLockShared), path, limit, talk)
}

/// Tries until the lock is had; says so when that takes long.
///
/// # Errors
/// [`Error::Locked`] if it isn't had after `limit`; the system's.
pub fn wait(
    try_lock: impl Fn() -> Result<(), Errno>,
    path: &Path,
    limit: Duration,
    talk: &dyn Talk,
) -> Result<(), Error> {
    let start = Instant::now();
    let mut said = false;
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN | Errno::ACCESS) => {}
            Err(error) => return Err(Error::io("lock", path)(error.into())),
        }
        let waited = start.elapsed();
        if waited >= limit {
            return Err(Error::Locked { path: path.to_owned(), limit });
        }
        if waited >= QUIET && !said {
            let limit = limit.as_secs();
            talk.note(&format!(
                "waiting for {}, locked by another process (at most {limit} s)",
                path.display()
            ));
            said = true;
        }
        std::thread::sleep(INTERVAL);
    }
}
