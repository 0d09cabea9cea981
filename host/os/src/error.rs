//! Errors of the operating system: of files, locks and processes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// An error of the operating system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file name is not valid UTF-8.
    #[error("the file name {0} is not valid UTF-8")]
    NotUtf8(PathBuf),
    /// A system call failed.
    #[error("cannot {what} {path}")]
    Io {
        /// A verb such as `read`, which is followed by the path.
        what: &'static str,
        /// The file, or another object that `what` refers to.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has invalid contents.
    #[error("{path} is damaged or incomplete: {why}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do next.
        hint: &'static str,
    },
    /// Another process held a lock longer than the time limit.
    #[error("gave up waiting for {path} after {} s: it is locked by {holder}", limit.as_secs())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// The process that holds it, in words.
        holder: String,
        /// How long we waited.
        limit: Duration,
    },
    /// A program is not installed.
    #[error("{program} is not installed (searched {searched})")]
    MissingProgram {
        /// Its name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
        /// The directories or paths that were searched.
        searched: String,
    },
    /// Somebody other than root could replace a program that root would run.
    #[error(
        "refusing to run {0} as root: it and every directory above it must be owned by root and not writable by others"
    )]
    UnsafeProgram(PathBuf),
    /// A process failed whose exit code is not passed on to the caller.
    #[error("{program} failed ({status}){}", tail(stderr))]
    Process {
        /// Its name.
        program: &'static str,
        /// Exit code or signal, in words.
        status: String,
        /// The end of its stderr.
        stderr: String,
    },
    /// A signal asked us to terminate. The exit status of a process is ignored in that case.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// Its number.
        signal: i32,
    },
    /// `/sysroot` is on a read-only device.
    #[error("{0} is on a read-only block device (for example a live ISO)")]
    ReadOnlyDevice(PathBuf),
    /// A process reported success, but the result is not what was judged.
    #[error("{what} is not as expected: {why}")]
    Verification {
        /// The result.
        what: String,
        /// How it differs.
        why: String,
    },
}

/// A human-readable size, in decimal units.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().rev().take(3).rev();
    last.fold(String::new(), |text, line| text + ": " + &without_log_fields(line.trim()))
}

/// The message of a log line such as `time="..." level=fatal msg="..."`.
fn without_log_fields(line: &str) -> String {
    let message = line.strip_prefix("time=").and_then(|line| line.split_once(" msg=")).map(|(_, text)| text);
    let unquoted = message.and_then(|text| serde_json::from_str(text).ok());
    unquoted.unwrap_or_else(|| line.to_owned())
}

/// An error and its causes on one line, without repeating a text that its cause already has.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

impl Error {
    /// As [`with_causes`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// For `map_err` on a system call.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
