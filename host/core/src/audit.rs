//! The audit record: JSON lines with an intent, which is on disk before an operation runs, and its outcome afterwards.

use std::path::PathBuf;
use std::{fs, io};

use bootc_image_journal::{Journal, Room};
use bootc_image_model::denial::Denial;
use bootc_image_model::digest::Digest;
use bootc_image_model::image::LocalImage;
use bootc_image_model::subject::{Subject, login_uid};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::room::mount_point;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::ops::Report;
use crate::ops::copy_to_storage::Copied;
use crate::ops::exists::Existence;
use crate::ops::pull_from_default_storage::Pulled;
use crate::ops::repair::Repaired;
use crate::policy::{Judged, Verdict};

/// Version of the lines' format.
const SCHEMA: u32 = 2;

/// Links an outcome to its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordId(String);

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// It succeeded.
    Done {
        /// The image that was copied, pulled or repaired.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<LocalImage>,
        /// Whether it was there before.
        #[serde(skip_serializing_if = "Option::is_none")]
        unchanged: Option<bool>,
    },
    /// podman ran.
    Exited {
        /// podman's exit code, or 128 + N for signal N.
        code: u8,
    },
    /// It failed.
    Failed {
        /// The error, with its causes.
        error: String,
    },
    /// It was interrupted, and may be done in part or not at all.
    Interrupted {
        /// The number of the signal.
        signal: i32,
    },
}

impl Outcome {
    /// Success without details.
    pub const DONE: Self = Self::Done { image: None, unchanged: None };

    pub(crate) fn of(result: &Result<Report, Error>) -> Self {
        match result {
            Ok(Report::Exited { code }) => Self::Exited { code: *code },
            Ok(
                Report::Copied(Copied { image, unchanged, .. })
                | Report::Pulled(Pulled { image, unchanged, .. }),
            ) => Self::Done { image: Some(image.clone()), unchanged: Some(*unchanged) },
            Ok(Report::Repaired(Repaired { image, .. })) => Self::Done {
                image: image
                    .manifest_digest
                    .as_ref()
                    .map(|manifest| LocalImage { id: image.id.clone(), manifest_digest: manifest.clone() }),
                unchanged: None,
            },
            Ok(Report::Existence(Existence::Unknown(error))) => Self::of_error(error),
            Ok(_) => Self::DONE,
            Err(error) => Self::of_error(error),
        }
    }

    pub(crate) fn of_error(error: &Error) -> Self {
        match error.interrupted_by() {
            Some(signal) => Self::Interrupted { signal },
            None => Self::Failed { error: error.with_causes() },
        }
    }
}

/// A line of the audit record.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    event: &'a str,
    id: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdicts: Option<&'a [Verdict]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    /// The caller for whom a verdict was explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<&'a Denial>,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    /// The first characters of a denied operation that is too long to be recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_prefix: Option<String>,
    /// How many denials were only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// The process that wrote a line, to correlate it with other logs of the system.
#[derive(Serialize)]
struct Process {
    pid: u32,
    /// The kernel's login uid, which sudo does not change; none if unknown.
    login_uid: Option<u32>,
    /// The boot id, since pids are unique only within a boot.
    boot_id: Option<String>,
    /// The version of bootc-image.
    version: &'static str,
}

impl Process {
    fn ours() -> Self {
        let text = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            pid: std::process::id(),
            login_uid: login_uid(),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Writes the audit record.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
}

impl Recorder {
    /// The directory is created when the first line is written.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { journal: Journal::new(directory.into()) }
    }

    /// A record that is separate from the one of the machine that runs a test.
    #[cfg(test)]
    pub(crate) fn in_directory(scratch: &std::path::Path) -> Self {
        Self { journal: Journal::with_run(scratch.join("audit"), scratch.join("run")) }
    }

    fn write(&self, line: &Line<'_>, room: Room) -> Result<(), Error> {
        Ok(self.journal.append(&text(line)?, room, &counted_line)?)
    }
}

fn text(line: &Line<'_>) -> Result<Vec<u8>, OsError> {
    let mut text = serde_json::to_vec(line)
        .map_err(|error| OsError::io("serialize", "a line of the audit record")(io::Error::other(error)))?;
    text.push(b'\n');
    Ok(text)
}

/// A line that stands for this many denials.
fn counted_line(count: u64) -> Result<Vec<u8>, OsError> {
    text(&Line { count: Some(count), ..line("suppressed", &new_id()?) })
}

impl Recorder {
    /// Records that the operation is about to run. The line is on disk when this returns.
    ///
    /// # Errors
    /// [`Error`] if it is not; nothing may run then.
    pub fn intent(&self, judged: &Judged) -> Result<RecordId, Error> {
        let id = new_id()?;
        // Operations that only remove something must be possible on a full disk; no others start there.
        let removes = judged.canonical().operation().only_removes();
        let room = if removes { Room::Reserved } else { room_of(judged) };
        let canonical = raw(judged)?;
        let line = Line {
            digest: Some(judged.canonical().digest()),
            canonical: Some(canonical.as_ref()),
            verdicts: Some(judged.verdicts()),
            process: Some(Process::ours()),
            ..line("intent", &id)
        };
        self.write(&line, room)?;
        self.journal.keep_reserve();
        Ok(RecordId(id))
    }

    /// Records how the operation ended.
    ///
    /// # Errors
    /// [`Error`] if the line cannot be written. The operation has run.
    pub fn outcome(&self, id: &RecordId, outcome: &Outcome) -> Result<(), Error> {
        // The operation has run, so the line must be kept however little space is left.
        self.write(&Line { outcome: Some(outcome), ..line("outcome", &id.0) }, Room::Reserved)?;
        self.journal.keep_reserve();
        Ok(())
    }

    /// Writes the lines that wait for space, if there is some now. Returns a note about those that still wait.
    pub fn waiting(&self) -> Option<String> {
        match self.journal.flush_waiting(&counted_line) {
            Ok(0) => None,
            Ok(count) => Some(format!(
                "{count} lines of the audit record wait in {} until there is free space on {}",
                self.journal.waiting().display(),
                mount_point(&self.journal.path()).display()
            )),
            Err(error) => Some(format!(
                "lines of the audit record that wait in {} cannot be written: {}; the first command after this is fixed writes them",
                self.journal.waiting().display(),
                error.with_causes()
            )),
        }
    }

    /// Records that names were resolved in a registry for an operation that was allowed as written but did not run: because a name
    /// cannot be resolved, or because of a dry run.
    ///
    /// # Errors
    /// [`Error`] if the line cannot be written.
    pub fn resolved(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error> {
        let id = new_id()?;
        let short = Shortened::of(Some(judged))?;
        self.write(
            &Line {
                digest: Some(judged.canonical().digest()),
                canonical: short.canonical.as_deref(),
                verdicts: short.whole.map(Judged::verdicts),
                canonical_prefix: short.canonical_prefix,
                outcome: Some(outcome),
                process: Some(Process::ours()),
                ..line("resolved", &id)
            },
            room_of(judged),
        )
    }

    /// Records that `subject` had the verdict explained for another caller. Nothing ran. `judged` and `denial` are missing if there was
    /// nothing to judge or to deny.
    ///
    /// # Errors
    /// [`Error`] if the line cannot be written.
    pub fn explained(
        &self,
        subject: &Subject,
        assumed: &Subject,
        judged: Option<&Judged>,
        denial: Option<&Denial>,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let id = new_id()?;
        let short = Shortened::of(judged)?;
        let denial = denial.map(|denial| Denial {
            message: canonical_prefix(&denial.message, LONGEST_TEXT),
            ..denial.clone()
        });
        self.write(
            &Line {
                digest: judged.map(|judged| judged.canonical().digest()),
                canonical: short.canonical.as_deref(),
                verdicts: short.whole.map(Judged::verdicts),
                canonical_prefix: short.canonical_prefix,
                subject: Some(subject),
                assumed: Some(assumed),
                denial: denial.as_ref(),
                outcome: Some(outcome),
                process: Some(Process::ours()),
                ..line("explained", &id)
            },
            Room::Free,
        )
    }

    /// Records a denial, with the operation and its verdicts if it was judged.
    ///
    /// # Errors
    /// [`Error`] if the line cannot be written. The denial stands.
    pub fn denied(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) -> Result<(), Error> {
        let id = new_id()?;
        let short = Shortened::of(judged)?;
        let denial = Denial { message: canonical_prefix(&denial.message, LONGEST_TEXT), ..denial.clone() };
        self.write(
            &Line {
                digest: judged.map(|judged| judged.canonical().digest()),
                canonical: short.canonical.as_deref(),
                verdicts: short.whole.map(Judged::verdicts),
                subject: Some(subject),
                denial: Some(&denial),
                process: Some(Process::ours()),
                canonical_prefix: short.canonical_prefix,
                ..line("denied", &id)
            },
            Room::Spare,
        )
    }
}

/// Denied operations longer than this, in bytes, are shortened in the record: any caller could fill the disk with them.
const LONGEST_DENIED: usize = 16 << 10;
/// The number of characters to which they are shortened.
const LONGEST_TEXT: usize = 1024;

/// The record of an operation that does not run.
struct Shortened<'a> {
    /// The operation, unless it is too long.
    whole: Option<&'a Judged>,
    canonical: Option<Box<RawValue>>,
    canonical_prefix: Option<String>,
}

impl<'a> Shortened<'a> {
    fn of(judged: Option<&'a Judged>) -> Result<Self, Error> {
        let is_long = judged.is_some_and(|judged| judged.canonical().json().len() > LONGEST_DENIED);
        let whole = judged.filter(|_| !is_long);
        let long = judged.filter(|_| is_long);
        Ok(Self {
            whole,
            canonical: whole.map(raw).transpose()?,
            canonical_prefix: long.map(|judged| canonical_prefix(judged.canonical().json(), LONGEST_TEXT)),
        })
    }
}

/// Delegated callers must leave some space to root.
fn room_of(judged: &Judged) -> Room {
    match judged.canonical().subject().delegation {
        Some(_) => Room::AboveFloor,
        None => Room::Free,
    }
}

fn canonical_prefix(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn raw(judged: &Judged) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(judged.canonical().json().to_owned())
        .map_err(|error| Error::io("serialize", "the operation")(io::Error::other(error)))
}

fn line<'a>(event: &'a str, id: &'a str) -> Line<'a> {
    Line {
        schema: SCHEMA,
        event,
        id,
        time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        digest: None,
        canonical: None,
        verdicts: None,
        subject: None,
        assumed: None,
        denial: None,
        outcome: None,
        process: None,
        canonical_prefix: None,
        count: None,
    }
}

/// 128 random bits, to be unique among all hosts of a fleet.
fn new_id() -> Result<String, OsError> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| OsError::io("read", "random bytes")(error.into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, DirBuilder};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::path::Path;

    use super::*;
    use bootc_image_model::denial::DeniedBy;

    fn recorder(scratch: &Path) -> Recorder {
        Recorder::in_directory(scratch)
    }

    fn deny(recorder: &Recorder) -> Result<(), Error> {
        let subject = Subject::new(Some(1), None);
        let denial = Denial {
            denied_by: DeniedBy::Host("b"),
            code: "c".to_owned(),
            message: "m\u{1b}\n".to_owned(),
            hint: None,
        };
        recorder.denied(&subject, &denial, None)
    }

    fn end(recorder: &Recorder, id: &str) {
        recorder.outcome(&RecordId(id.to_owned()), &Outcome::Exited { code: 3 }).unwrap();
    }

    fn lines(scratch: &Path) -> Vec<Option<serde_json::Value>> {
        let text = fs::read_to_string(scratch.join("audit/audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[test]
    fn an_incomplete_line_does_not_spoil_the_next_one() {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = recorder(scratch.path());
        deny(&recorder).unwrap();
        let path = scratch.path().join("audit/audit.jsonl");
        let half = fs::read_to_string(&path).unwrap() + "{\"schema\":1,\"ev";
        fs::write(&path, half).unwrap();
        deny(&recorder).unwrap();
        end(&recorder, "i");

        let lines = lines(scratch.path());
        assert_eq!(lines.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true]);
        let last = lines[3].as_ref().unwrap();
        assert_eq!(
            (&last["event"], &last["result"], &last["code"]),
            (&"outcome".into(), &"exited".into(), &3.into())
        );
    }

    #[test]
    fn long_denials_are_shortened_in_the_record() {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = recorder(scratch.path());
        let message = "x".repeat(1 << 20);
        let denial = Denial { denied_by: DeniedBy::Host("b"), code: "c".to_owned(), message, hint: None };
        recorder.denied(&Subject::new(Some(1), None), &denial, None).unwrap();
        let line = lines(scratch.path()).pop().flatten().unwrap();
        assert_eq!(line["denial"]["message"].as_str().unwrap().len(), 1024 + 3);
    }

    #[test]
    fn counted_denials_are_recorded_before_the_next_line() {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = recorder(scratch.path());
        fs::create_dir(scratch.path().join("run")).unwrap();
        fs::write(scratch.path().join("run/counted"), "7\n").unwrap();
        // A line that must be possible on a full disk is written first.
        end(&recorder, "1");
        deny(&recorder).unwrap();
        let lines: Vec<_> = lines(scratch.path()).into_iter().map(Option::unwrap).collect();
        let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["outcome", "suppressed", "denied"]);
        assert_eq!(lines[1]["count"], 7);
        assert!(!scratch.path().join("run/counted").exists());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        for mode in [0o755, 0o770, 0o701, 0o720] {
            let scratch = tempfile::tempdir().unwrap();
            let directory = scratch.path().join("audit");
            DirBuilder::new().create(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
            let error = deny(&recorder(scratch.path())).unwrap_err().with_causes();
            assert!(error.contains("0700, or 0750"), "{mode:o}: {error}");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        }
    }

    /// For example the group of a log shipper.
    #[test]
    fn the_group_of_the_directory_reads_the_record() {
        let scratch = tempfile::tempdir().unwrap();
        let (directory, path) = (scratch.path().join("audit"), scratch.path().join("audit/audit.jsonl"));
        let recorder = recorder(scratch.path());
        let found = || fs::metadata(&path).map(|found| (found.mode() & 0o7777, found.gid())).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        deny(&recorder).unwrap();
        assert_eq!(found().0, 0o600);
        // Only root may give it to a group.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        for mode in [0o750, 0o2750] {
            chown(&directory, None, Some(4)).unwrap();
            set(&directory, mode);
            deny(&recorder).unwrap();
            assert_eq!(found(), (0o640, 4), "{mode:o}");
            fs::remove_file(&path).unwrap();
            deny(&recorder).unwrap();
            assert_eq!(found(), (0o640, 4), "{mode:o}");
            // Weaker modes are corrected.
            for weaker in [0o666, 0o660, 0o4644] {
                set(&path, weaker);
                chown(&path, None, Some(5)).unwrap();
                deny(&recorder).unwrap();
                assert_eq!(found(), (0o640, 4), "{weaker:o}");
            }
        }
        set(&directory, 0o700);
        deny(&recorder).unwrap();
        assert_eq!(found().0, 0o600);
        chown(&path, Some(1), None).unwrap();
        assert!(deny(&recorder).unwrap_err().with_causes().contains("a regular file owned by root"));
    }

    /// Also if the process that appended them was killed before it removed the file.
    #[test]
    fn waiting_lines_are_written_first_and_once() {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = recorder(scratch.path());
        deny(&recorder).unwrap();
        let waiting = scratch.path().join("run/waiting.jsonl");
        let waits = "{\"id\":\"1\"}\n{\"id\":\"2\"}\n";
        fs::write(&waiting, waits).unwrap();
        end(&recorder, "3");
        assert!(!waiting.exists());
        let path = scratch.path().join("audit/audit.jsonl");
        let appended = fs::read_to_string(&path).unwrap() + waits;
        fs::write(&path, appended).unwrap();
        fs::write(&waiting, waits).unwrap();
        assert_eq!(recorder.waiting(), None);
        assert!(!waiting.exists());
        end(&recorder, "4");
        let ids: Vec<String> =
            lines(scratch.path())[1..].iter().map(|line| line.as_ref().unwrap()["id"].to_string()).collect();
        assert_eq!(ids, ["1", "2", "3", "1", "2", "4"].map(|id| format!("\"{id}\"")));
    }
}
