//! Writing to a stream whose reader may have stopped reading. A plain write would block for ever, and because signals are handled
//! by then, they would not end it.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use bootc_image_os::processes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// `PIPE_BUF`: a pipe that is ready for writing takes this many bytes without blocking.
const WRITE_SIZE: usize = 4096;
/// How long to wait before checking for a signal again. Most signals end the wait at once, but one may arrive just before it.
const CHECK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const NO_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A stream whose blocked writes fail once a signal asked the program to end.
pub(crate) struct Stoppable(BorrowedFd<'static>);

impl Stoppable {
    pub(crate) fn stdout() -> Self {
        Self(rustix::stdio::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self(rustix::stdio::stderr())
    }
}

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait_for_room(self.0)?;
        Ok(rustix::io::write(self.0, bytes.get(..WRITE_SIZE).unwrap_or(bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_for_room(stream: BorrowedFd<'_>) -> io::Result<()> {
    let mut limit = NO_WAIT;
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(stream, PollFlags::OUT)], Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => {}
            // If the stream is broken, the write returns the error.
            Ok(_) | Err(_) => return Ok(()),
        }
        processes::check_interrupted().map_err(io::Error::other)?;
        limit = CHECK_EVERY;
    }
}
