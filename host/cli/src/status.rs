//! `--status-fd`: tells a calling program whether an exit code is podman's or ours, since the same number can be either.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{BorrowedFd, RawFd};

use serde::Serialize;

use crate::exit::Failure;

/// Where the exit code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// From us: podman was not started, or something failed after it ended.
    Host,
    /// From podman.
    Podman,
}

/// The caller's descriptor, to which the result is written.
pub(crate) struct StatusFile(File);

#[derive(Serialize)]
struct Status {
    origin: Origin,
    code: u8,
}

impl StatusFile {
    /// Duplicates the caller's descriptor with this number.
    #[allow(unsafe_code)]
    pub(crate) fn open(number: RawFd) -> Result<Self, Failure> {
        let refused = |source| Failure::StatusFd { number, source };
        // podman uses 0, 1 and 2.
        if number < 3 {
            return Err(refused(io::Error::other("the number must be 3 or more")));
        }
        // SAFETY: borrowed for one call, which fails if no such descriptor is open.
        let given = unsafe { BorrowedFd::borrow_raw(number) };
        let copy = rustix::io::fcntl_dupfd_cloexec(given, 3).map_err(|error| refused(error.into()))?;
        Ok(Self(copy.into()))
    }

    /// Writes the result as one line of JSON.
    pub(crate) fn write(mut self, origin: Origin, code: u8) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, &Status { origin, code })?;
        self.0.write_all(b"\n")
    }
}
