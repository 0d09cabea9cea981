//! The record of what was done: an intent, on disk before anything runs, and an outcome after (D3.4).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::OFlags;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::error::{Denial, Error};
use crate::files::private_directory;
use crate::operation::LocalImage;
use crate::policy::{Judged, Verdict};
use crate::report::Report;
use crate::subject::Subject;

/// The version of a record's lines.
const SCHEMA: u32 = 1;

/// Ties an outcome to its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordId(String);

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// It succeeded.
    Done {
        /// What a copy or a pull has led to.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<LocalImage>,
        /// Whether that was there before.
        #[serde(skip_serializing_if = "Option::is_none")]
        unchanged: Option<bool>,
    },
    /// podman ran and ended with this code.
    Exited {
        /// podman's own code, 128 + N for signal N.
        code: u8,
    },
    /// It failed.
    Failed {
        /// The error, with its causes.
        error: String,
    },
    /// It was asked to end while it ran: what it had to do may be done in part, or not at all.
    Interrupted {
        /// The number of the signal that asked.
        signal: i32,
    },
}

impl Outcome {
    /// It succeeded, and there is no more to say.
    pub const DONE: Self = Self::Done { image: None, unchanged: None };

    /// What became of an operation.
    pub(crate) fn of(result: &Result<Report, Error>) -> Self {
        match result {
            Ok(Report::Exited { code }) => Self::Exited { code: *code },
            Ok(Report::Copied { image, unchanged, .. } | Report::Pulled { image, unchanged, .. }) => {
                Self::Done { image: Some(image.clone()), unchanged: Some(*unchanged) }
            }
            Ok(_) => Self::DONE,
            Err(error) => Self::of_error(error),
        }
    }

    /// Why it didn't succeed.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error.interrupted_by() {
            Some(signal) => Self::Interrupted { signal },
            None => Self::Failed { error: error.with_causes() },
        }
    }
}

/// Keeps the record.
pub trait Recorder {
    /// Writes that `judged` is about to run. It is on disk when this returns.
    ///
    /// # Errors
    /// [`Error`] if it isn't; then nothing may run.
    fn intent(&self, judged: &Judged) -> Result<RecordId, Error>;

    /// Writes how it ended.
    ///
    /// # Errors
    /// [`Error`] if that couldn't be written; the operation has run.
    fn outcome(&self, id: &RecordId, outcome: &Outcome) -> Result<(), Error>;

    /// Writes that names were looked up, and how that ended, of an operation that nobody had objected to so far and that
    /// hasn't run: because the look-up didn't succeed, or because nothing was to run.
    ///
    /// # Errors
    /// [`Error`] if that couldn't be written.
    fn looked_up(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error>;

    /// Writes that something was refused: `judged` if it came so far as to be judged.
    ///
    /// # Errors
    /// [`Error`] if that couldn't be written; it stays refused.
    fn denied(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) -> Result<(), Error>;
}

/// One line of the record.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    event: &'a str,
    id: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdicts: Option<&'a [Verdict]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<&'a Denial>,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

/// Where a line comes from, so that it can be found in what else the system records.
#[derive(Serialize)]
struct Process {
    pid: u32,
    /// Who logged in, whatever they have become since, if the kernel knows.
    login_uid: Option<u32>,
    /// Of this boot, of which alone the pid is.
    boot: Option<String>,
    /// Our version.
    version: &'static str,
}

impl Process {
    fn ours() -> Self {
        let text = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            pid: std::process::id(),
            login_uid: text("/proc/self/loginuid")
                .and_then(|uid| uid.parse().ok())
                .filter(|uid| *uid != u32::MAX),
            boot: text("/proc/sys/kernel/random/boot_id"),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The record in a directory that only root can enter, as JSON lines.
#[derive(Debug)]
pub struct FileRecorder {
    directory: PathBuf,
}

impl FileRecorder {
    /// A record in `directory`, which is made at the first line.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn open(&self) -> Result<File, Error> {
        let directory = &self.directory;
        private_directory(directory).map_err(Error::io("create", directory))?;
        let owned = fs::symlink_metadata(directory).map_err(Error::io("examine", directory))?;
        let ours =
            owned.is_dir() && owned.uid() == rustix::process::geteuid().as_raw() && owned.mode() & 0o077 == 0;
        if !ours {
            let source =
                io::Error::other("it must be a directory of root's that nobody else can enter (0700)");
            return Err(Error::Io { what: "use", path: directory.clone(), source });
        }
        let path = directory.join("audit.jsonl");
        let created = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(Error::io("open", &path))?;
        if created {
            sync_directory(directory)?;
        }
        Ok(file)
    }

    fn write(&self, line: &Line<'_>) -> Result<(), Error> {
        let path = self.directory.join("audit.jsonl");
        let mut file = self.open()?;
        // A disk that was full can have left half a line, which must not spoil this one.
        let mut text =
            if ends_in_newline(&file).map_err(Error::io("read", &path))? { vec![] } else { vec![b'\n'] };
        serde_json::to_writer(&mut text, line)
            .map_err(|error| Error::io("write", &path)(io::Error::other(error)))?;
        text.push(b'\n');
        // One write on a descriptor opened for appending: lines of two processes never mix.
        let written = file.write(&text).map_err(Error::io("write", &path))?;
        if written != text.len() {
            return Err(Error::io("write", &path)(io::ErrorKind::WriteZero.into()));
        }
        file.sync_data().map_err(Error::io("sync", &path))
    }
}

fn ends_in_newline(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io("sync", path))
}

impl Recorder for FileRecorder {
    fn intent(&self, judged: &Judged) -> Result<RecordId, Error> {
        let id = new_id()?;
        self.write(&Line {
            digest: Some(judged.frozen().digest()),
            frozen: Some(raw(judged)?.as_ref()),
            verdicts: Some(judged.verdicts()),
            process: Some(Process::ours()),
            ..line("intent", &id)
        })?;
        Ok(RecordId(id))
    }

    fn outcome(&self, id: &RecordId, outcome: &Outcome) -> Result<(), Error> {
        self.write(&Line { outcome: Some(outcome), ..line("outcome", &id.0) })
    }

    fn looked_up(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error> {
        let id = new_id()?;
        self.write(&Line {
            digest: Some(judged.frozen().digest()),
            frozen: Some(raw(judged)?.as_ref()),
            verdicts: Some(judged.verdicts()),
            outcome: Some(outcome),
            process: Some(Process::ours()),
            ..line("looked-up", &id)
        })
    }

    fn denied(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) -> Result<(), Error> {
        let id = new_id()?;
        let frozen = judged.map(raw).transpose()?;
        self.write(&Line {
            digest: judged.map(|judged| judged.frozen().digest()),
            frozen: frozen.as_deref(),
            verdicts: judged.map(Judged::verdicts),
            subject: Some(subject),
            denial: Some(denial),
            process: Some(Process::ours()),
            ..line("denied", &id)
        })
    }
}

fn raw(judged: &Judged) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(judged.frozen().json().to_owned())
        .map_err(|error| Error::io("freeze", "the operation")(io::Error::other(error)))
}

fn line<'a>(event: &'a str, id: &'a str) -> Line<'a> {
    Line {
        schema: SCHEMA,
        event,
        id,
        time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        digest: None,
        frozen: None,
        verdicts: None,
        subject: None,
        denial: None,
        outcome: None,
        process: None,
    }
}

/// 128 random bits: unique over all hosts of a fleet.
fn new_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io("read", "random bytes")(error.into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::DirBuilderExt as _;

    use super::*;
    use crate::error::By;

    fn denial() -> Denial {
        Denial { by: By::Host("b"), code: "c".to_owned(), message: "m\u{1b}\n".to_owned(), hint: None }
    }

    #[test]
    fn half_a_line_of_a_full_disk_spoils_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = FileRecorder::new(scratch.path().join("audit"));
        let subject = Subject { uid: Some(1), delegation: None, plugin: None };
        let path = scratch.path().join("audit/audit.jsonl");
        recorder.denied(&subject, &denial(), None).unwrap();
        let half = fs::read_to_string(&path).unwrap() + "{\"schema\":1,\"ev";
        fs::write(&path, half).unwrap();
        recorder.denied(&subject, &denial(), None).unwrap();
        recorder.outcome(&RecordId("i".to_owned()), &Outcome::Exited { code: 3 }).unwrap();

        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<Option<serde_json::Value>> =
            text.lines().map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(lines.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true]);
        let last = lines[3].as_ref().unwrap();
        assert_eq!(
            (&last["event"], &last["result"], &last["code"]),
            (&"outcome".into(), &"exited".into(), &3.into())
        );
    }

    #[test]
    fn a_directory_that_others_can_enter_isnt_used() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("audit");
        DirBuilder::new().mode(0o755).create(&directory).unwrap();
        let subject = Subject { uid: Some(1), delegation: None, plugin: None };
        assert!(FileRecorder::new(&directory).denied(&subject, &denial(), None).is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}
