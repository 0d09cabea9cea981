//! How a command ended, for a program that can't tell podman's exit codes from ours (D10.6).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{BorrowedFd, RawFd};

use serde::Serialize;

use crate::exit::Failure;

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// Ours: podman wasn't started, or what came after it failed.
    Host,
    /// podman's.
    Podman,
}

/// Where it is written.
pub(crate) struct StatusFile(File);

#[derive(Serialize)]
struct Status {
    origin: Origin,
    code: u8,
}

impl StatusFile {
    /// The caller's descriptor with this number.
    #[allow(unsafe_code)]
    pub(crate) fn open(number: RawFd) -> Result<Self, Failure> {
        let refused = |source| Failure::StatusFd { number, source };
        // 0 is for podman to read, 1 and 2 are its to write.
        if number < 3 {
            return Err(refused(io::Error::other("it must be 3 or more")));
        }
        // SAFETY: borrowed for one call, which fails if the number isn't open.
        let given = unsafe { BorrowedFd::borrow_raw(number) };
        let copy = rustix::io::fcntl_dupfd_cloexec(given, 3).map_err(|error| refused(error.into()))?;
        Ok(Self(copy.into()))
    }

    /// Says it, in a line of JSON.
    pub(crate) fn write(mut self, origin: Origin, code: u8) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, &Status { origin, code })?;
        self.0.write_all(b"\n")
    }
}
