//! The process in which a native extension runs: starting and killing it. The engine talks to it over a socket.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};
use rustix::process::{Signal, pidfd_send_signal};

use super::attend::{Running, describe};
use super::signals::check_interrupted;
use super::{Own, Process, signals};
use crate::error::Error;
use crate::files::in_memory_sealable;

/// The maximum size of its output on stdout and stderr, in bytes.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// The process of a native extension. It is killed when this is dropped.
pub struct Native {
    running: Running,
    said: File,
}

/// How a process exited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status in words if it exited by itself; `None` if it had to be killed.
    pub status: Option<String>,
    /// The beginning of its output on stdout and stderr. Not sanitised: it may contain control characters.
    pub said: String,
}

impl Native {
    /// Starts it, with these descriptors under these numbers.
    ///
    /// # Errors
    /// As [`Own::find`]; [`Error::Io`].
    pub fn start(directories: &[PathBuf], descriptors: &[(BorrowedFd<'_>, RawFd)]) -> Result<Self, Error> {
        let mut child = Process::with_path(Own::Native.name(), &Own::Native.find(directories)?, &[])?;
        for (descriptor, number) in descriptors {
            child.descriptor(descriptor, *number)?;
        }
        let said = bounded().map_err(Error::io("create", "a file in memory"))?;
        let copy = || said.try_clone().map_err(Error::io("duplicate", "a file in memory"));
        child.command.stdout(copy()?).stderr(copy()?);
        // What a terminal sends is for us.
        child.command.process_group(0);
        signals::handle_sigchld().map_err(Error::io("handle", "signals"))?;
        check_interrupted()?;
        child.prepare()?;
        child.log();
        let started = child.command.spawn().map_err(Error::io("run", child.name))?;
        Ok(Self { running: Running::new(started, child.name)?, said })
    }

    /// Waits up to `patience` until it exits by itself, then kills it.
    pub fn end(mut self, patience: Duration) -> Exit {
        let end = Instant::now() + patience;
        let mut status = None;
        // A signal interrupts the wait.
        while status.is_none() && Instant::now() < end {
            match self.running.has_ended(end.saturating_duration_since(Instant::now())) {
                Ok(true) => status = self.running.wait().ok().map(describe_with_name),
                Ok(false) => {}
                Err(_) => break,
            }
        }
        self.kill();
        let mut said = Vec::new();
        // The descriptors share one file offset, which is where the output ends.
        let length = self.said.stream_position().unwrap_or(0);
        let read = self.said.rewind().and_then(|()| (&mut self.said).take(length).read_to_end(&mut said));
        if read.is_err() {
            said.clear();
        }
        Exit { status, said: String::from_utf8_lossy(&said).into_owned() }
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&self.running.process, Signal::KILL);
        let _ = self.running.child.wait();
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A file in memory with a fixed maximum size: unlike a pipe, nobody has to read it while the process runs, and writes beyond the
/// limit fail.
fn bounded() -> io::Result<File> {
    let file = in_memory_sealable("said")?;
    ftruncate(&file, OUTPUT_LIMIT)?;
    fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// As [`describe`], with the name of the signal.
fn describe_with_name(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(4) => "SIGILL",
        Some(6) => "SIGABRT",
        Some(7) => "SIGBUS",
        Some(8) => "SIGFPE",
        Some(9) => "SIGKILL",
        Some(11) => "SIGSEGV",
        Some(24) => "SIGXCPU: it exceeded its CPU time limit",
        _ => return describe(status),
    };
    format!("{} ({name})", describe(status))
}
