//! From errors to messages and exit codes: the one table (D10.6).

use std::ffi::OsString;
use std::io;

use bootc_image_core::error::Error;
use bootc_image_model::denial::Kind;
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::error::Error as StoresError;
use clap::error::ErrorKind;

use crate::ui::Ui;

/// Everything worked.
pub(crate) const OK: u8 = 0;
/// It failed, or a part of it.
pub(crate) const FAILED: u8 = 1;
/// The arguments make no sense.
pub(crate) const USAGE: u8 = 2;
/// A program that is needed isn't installed.
pub(crate) const MISSING_PROGRAM: u8 = 69;
/// Refused.
pub(crate) const DENIED: u8 = 77;
/// The configuration, a plugin or the record can't be used.
pub(crate) const UNUSABLE: u8 = 78;

/// Printed by the built-in format instead of a plugin's.
pub(crate) const PRINTED_INSTEAD: u8 = 79;
/// Beyond this: the number of the signal that asked us to end.
const INTERRUPTED: u8 = 128;

/// What the layers below the core say goes through the core's own table.
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

/// What can go wrong here, beside the core's errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The core's.
    #[error(transparent)]
    Core(#[from] Error),
    /// Names and options are text.
    #[error("argument {0:?} isn't UTF-8 text")]
    NotUtf8(OsString),
    /// There is nowhere to write how it ended.
    #[error("--status-fd {number} can't be used")]
    StatusFd {
        /// The descriptor.
        number: i32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// How it ended couldn't be told.
    #[error("can't write to the descriptor of --status-fd")]
    Status(#[source] io::Error),
    /// A table of cases can't be read.
    #[error("{0}")]
    Cases(String),
    /// There is no such format.
    #[error("there is no format {name:?}")]
    Format {
        /// As typed.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A format was given an argument that it doesn't take.
    #[error("{0}")]
    FormatUsage(String),
    /// The list couldn't be delivered.
    #[error("can't write to standard output")]
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

/// Of several operations: what all that failed have in common. `interrupted` is the code of one that was asked to end, after
/// which no other was begun.
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

/// Says what went wrong; returns the exit code.
pub(crate) fn of_error(ui: &Ui, failure: &Failure) -> u8 {
    match failure {
        Failure::Core(error) => {
            let kind = error.kind();
            if kind == Kind::Denied {
                ui.denied(error, error.hint().as_deref());
            } else {
                ui.error(error, error.hint().as_deref());
            }
            code(kind)
        }
        Failure::NotUtf8(_) | Failure::Cases(_) => {
            ui.error(failure, None);
            USAGE
        }
        Failure::Format { known, .. } => {
            ui.error(failure, Some(&format!("there are: {known}")));
            USAGE
        }
        Failure::FormatUsage(_) => {
            ui.error(failure, Some("see which formats take one with: bootc-image list --help"));
            USAGE
        }
        Failure::StatusFd { .. } => {
            ui.error(failure, Some("open it for writing, e.g. with: --status-fd 3 3>FILE"));
            USAGE
        }
        Failure::Stdout(_) | Failure::Status(_) => {
            ui.error(failure, None);
            FAILED
        }
    }
}

/// Help and version are answers and go to stdout; what clap can't make sense of is a usage error.
pub(crate) fn of_parser(ui: &Ui, error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match ui.text(&text) {
            Ok(code) => code,
            Err(failure) => of_error(ui, &failure),
        },
        _ => {
            ui.plain(&text);
            USAGE
        }
    }
}
