//! What can go wrong with the operating system: its files, its locks, and the processes that are started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something of the operating system didn't do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file's name isn't text.
    #[error("the file name {0} is not valid UTF-8")]
    NotUtf8(PathBuf),
    /// A system call failed.
    #[error("cannot {what} {path}")]
    Io {
        /// A verb, e.g. `read`.
        what: &'static str,
        /// Of which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has contents that it can't have.
    #[error("{path} is damaged or incomplete: {why}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do next.
        hint: &'static str,
    },
    /// Another process holds a lock for too long.
    #[error("gave up waiting for {path} after {} s: it is locked by {holder}", limit.as_secs())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
        /// How long we waited.
        limit: Duration,
    },
    /// A program isn't installed.
    #[error("{program} is not installed (searched {searched})")]
    MissingProgram {
        /// Its name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
        /// Where it was looked for.
        searched: String,
    },
    /// A program that root would run could be replaced by somebody else.
    #[error("refusing to run {0} as root: it and every directory above it must be owned by root and not writable by others")]
    UnsafeProgram(PathBuf),
    /// A child failed where its exit code isn't the answer.
    #[error("{program} failed ({status}){}", tail(stderr))]
    Child {
        /// Its name.
        program: &'static str,
        /// Exit code or signal, in words.
        status: String,
        /// The last of what it said.
        stderr: String,
    },
    /// We were asked to end. Whatever a process said of its own end doesn't count then.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// Which one.
        signal: i32,
    },
    /// `/sysroot` is on something that can't be written.
    #[error("{0} is on a read-only block device (for example a live ISO)")]
    ReadOnlyDevice(PathBuf),
    /// A child said that it succeeded, but the result isn't what was judged.
    #[error("{what} is not as expected: {why}")]
    Verification {
        /// The result.
        what: String,
        /// How it differs.
        why: String,
    },
}

/// Bytes for people.
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

/// Of a line that a tool wrote as `time="..." level=fatal msg="..."` the message.
fn without_log_fields(line: &str) -> String {
    let message = line.strip_prefix("time=").and_then(|line| line.split_once(" msg=")).map(|(_, text)| text);
    let unquoted = message.and_then(|text| serde_json::from_str(text).ok());
    unquoted.unwrap_or_else(|| line.to_owned())
}

/// An error and why, on one line, without saying the same twice.
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
