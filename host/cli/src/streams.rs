//! Writing to a stream whose reader may have stopped reading: a write would wait for ever, and once signals are handled
//! nothing would end it.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use bootc_image_os::children;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What a pipe that has room takes at once: `PIPE_BUF`.
const AT_ONCE: usize = 4096;
/// How long room is waited for before the next look. A signal ends the wait at once, but for one that comes just before it.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A stream that is written to as long as there is room or nobody has asked us to end.
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
        Ok(rustix::io::write(self.0, bytes.get(..AT_ONCE).unwrap_or(bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_for_room(stream: BorrowedFd<'_>) -> io::Result<()> {
    let mut limit = NOT_AT_ALL;
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(stream, PollFlags::OUT)], Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => {}
            // If it can't be written to, writing says why.
            Ok(_) | Err(_) => return Ok(()),
        }
        children::check_not_asked_to_end().map_err(io::Error::other)?;
        limit = LOOK_EVERY;
    }
}
