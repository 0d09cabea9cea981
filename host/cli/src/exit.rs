//! The exit codes, and the only place where an error gets one.

use std::ffi::OsString;
use std::io;

use bootc_image_core::error::Error;
use bootc_image_engine::formats::FormatError;
use bootc_image_model::denial::Kind;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::room::is_full;
use bootc_image_stores::error::Error as StoresError;

use crate::ui::Ui;

pub(crate) const OK: u8 = 0;
/// The operation failed, or a part of it.
pub(crate) const FAILED: u8 = 1;
/// Usage error.
pub(crate) const USAGE: u8 = 2;
/// A required program is not installed.
pub(crate) const MISSING_PROGRAM: u8 = 69;
/// Denied by a policy or by the host.
pub(crate) const DENIED: u8 = 77;
/// The configuration, a plugin or the audit record cannot be used.
pub(crate) const UNUSABLE: u8 = 78;

/// The plugin's format cannot be used: nothing was printed, or the built-in table instead.
pub(crate) const UNFORMATTED: u8 = 79;
/// Added to the number of the signal that ended the program.
const INTERRUPTED: u8 = 128;

/// Errors of the crates below the core get their kind and hint from the core's error.
impl From<OsError> for Failure {
    fn from(error: OsError) -> Self {
        Self::Core(error.into())
    }
}

impl From<StoresError> for Failure {
    fn from(error: StoresError) -> Self {
        Self::Core(error.into())
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Core(#[from] Error),
    #[error("argument {0:?} is not valid UTF-8")]
    NotUtf8(OsString),
    #[error("cannot use the file descriptor {number} given with --status-fd")]
    StatusFd {
        number: i32,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the result to the file descriptor given with --status-fd")]
    Status(#[source] io::Error),
    /// The file of test cases cannot be used.
    #[error("{0}")]
    Cases(String),
    #[error("there is no format {name:?}")]
    Format {
        name: String,
        /// The names of the formats that exist.
        known: String,
        /// Plugins whose manifests are invalid.
        broken: Vec<String>,
    },
    /// The argument of a format is missing, unexpected or invalid.
    #[error(transparent)]
    FormatUsage(FormatError),
    /// Help was requested for a subcommand of `cmd` that no enabled plugin provides.
    #[error("there is no subcommand `cmd {name}`")]
    Subcommand {
        name: String,
        /// The disabled plugin that provides it.
        disabled: Option<String>,
    },
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Failed => FAILED,
        Kind::Usage => USAGE,
        Kind::MissingProgram => MISSING_PROGRAM,
        Kind::Denied => DENIED,
        Kind::Unusable => UNUSABLE,
        Kind::Interrupted(signal) => u8::try_from(signal).unwrap_or(0).saturating_add(INTERRUPTED),
    }
}

/// The exit code of several operations: the one that all failed operations share, or else `FAILED`. `interrupted` is the code of
/// an operation that a signal ended; no other operation was started after it.
pub(crate) fn of_several(codes: &[u8], interrupted: Option<u8>) -> u8 {
    if let Some(code) = interrupted {
        return code;
    }
    let mut failed = codes.iter().copied().filter(|&code| code != OK);
    match failed.next() {
        None => OK,
        Some(first) if failed.all(|code| code == first) => first,
        Some(_) => FAILED,
    }
}

/// Prints the error and returns the exit code.
pub(crate) fn of_error(ui: &Ui, failure: &Failure) -> u8 {
    match failure {
        Failure::Core(error) => {
            let kind = error.kind();
            if kind == Kind::Denied {
                ui.denied(error, error.hint().as_deref());
                DENIED
            } else {
                ui.error(error, error.hint().as_deref(), code(kind))
            }
        }
        Failure::NotUtf8(_) | Failure::Cases(_) => ui.error(failure, None, USAGE),
        Failure::Format { known, broken, .. } => {
            let mut hint = format!("available formats: {known}");
            if !broken.is_empty() {
                hint += &format!(
                    "; the formats of {} are missing, because its manifest is invalid: run: bootc-image plugin doctor",
                    broken.join(", ")
                );
            }
            ui.error(failure, Some(&hint), USAGE)
        }
        Failure::Subcommand { disabled, .. } => {
            let hint = "list the subcommands with: bootc-image cmd --help";
            ui.error(failure, Some(disabled.as_deref().unwrap_or(hint)), USAGE)
        }
        Failure::FormatUsage(error) => ui.error(failure, error.hint(), USAGE),
        Failure::StatusFd { .. } => {
            let hint = "open it for writing in the shell, for example with: --status-fd 3 3>FILE";
            ui.error(failure, Some(hint), USAGE)
        }
        Failure::Stdout(source) if is_full(source) => {
            ui.error(failure, Some("free space where the output is written, then run it again"), FAILED)
        }
        Failure::Stdout(_) | Failure::Status(_) => ui.error(failure, None, FAILED),
    }
}
