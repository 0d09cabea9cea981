//! What the program tells people, test by test, as snapshots in `tests/golden/messages`: messages on standard error, and what
//! `plugin` and `policy` print on standard output. A file for each test executable, a section for each test. A change of words is read
//! as a difference of these files.
//!
//! Every run of a program in a world comes by here ([`observe`]). A message that isn't in the section of the running test fails that
//! test; `BLESS=1 cargo test` adds it instead. What was seen is also written to `messages` in the target directory, from which
//! `scripts/messages.sh` makes the snapshots anew after a run of all tests.
//!
//! Digests, numbers of processes and the like differ from run to run, and are replaced before ([`normalised`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::{Output, programs};

/// Messages of a test executable, by test.
type Sections = BTreeMap<String, BTreeSet<String>>;

/// Test executables that take generated input, or stop the program at a point that isn't the same twice.
const GENERATED: [&str; 5] = ["faults", "hosts", "operations", "signals", "terminal"];

/// What was seen in this process.
static SEEN: Mutex<Sections> = Mutex::new(Sections::new());

/// Where the snapshots are.
pub fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/messages")
}

/// Compares what a command told people with the snapshot of the test that is running.
///
/// # Panics
/// If something isn't in it.
#[track_caller]
pub(crate) fn observe<S: AsRef<str>>(command: &[S], output: &Output) {
    let mut messages = messages(&output.stderr);
    messages.extend(table(command, &output.stdout));
    let Some((executable, test)) = running() else { return };
    if messages.is_empty() || GENERATED.contains(&executable.as_str()) {
        return;
    }
    let path = snapshots().join(&executable).with_extension("txt");
    let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    seen.entry(test.clone()).or_default().extend(messages.iter().cloned());
    write(&programs::target().join("messages").join(&executable).with_extension("txt"), &seen);
    let mut kept = read(&path);
    let section = kept.entry(test).or_default();
    let new: Vec<String> = messages.into_iter().filter(|message| !section.contains(message)).collect();
    if std::env::var_os("BLESS").is_some() {
        section.extend(new);
        write(&path, &kept);
    } else {
        assert!(
            new.is_empty(),
            "not in {}; if it is meant: BLESS=1, the same test again, and read the difference\n{}",
            path.display(),
            new.join("\n")
        );
    }
}

/// The test executable, and the test on whose thread this is, if it is one. Debian 13's programs say other things, so runs with them
/// aren't compared.
fn running() -> Option<(String, String)> {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main")?;
    if std::env::var_os("BOOTC_IMAGE_MACHINE").is_some() {
        return None;
    }
    let path = std::env::current_exe().ok()?;
    let (executable, _hash) = path.file_name()?.to_str()?.rsplit_once('-')?;
    Some((executable.to_owned(), test.to_owned()))
}

/// The messages in what was written to standard error, each with the hint that follows it.
fn messages(stderr: &str) -> BTreeSet<String> {
    let mut messages = BTreeSet::new();
    let mut lines = stderr.lines().peekable();
    while let Some(line) = lines.next() {
        let begins = ["error: ", "warning: ", "note: ", "bootc-image: ", " WARN ", "ERROR "];
        // Which process waits for which, and whether one does, is a matter of time.
        let is_of_time = line.starts_with("note: waiting for ");
        if is_of_time || !begins.iter().any(|begin| line.starts_with(begin)) {
            continue;
        }
        let mut message = normalised(line.trim_end());
        while let Some(hint) = lines.next_if(|line| line.starts_with("  hint: ")) {
            message.push('\n');
            message.push_str(&normalised(hint));
        }
        messages.insert(message);
    }
    messages
}

/// The output of a command for people about plugins and policies.
fn table<S: AsRef<str>>(command: &[S], stdout: &str) -> Option<String> {
    let command: Vec<&str> = command.iter().map(AsRef::as_ref).collect();
    let is_for_people = matches!(command[..], ["bootc-image", "plugin" | "policy", ..])
        && !command.iter().any(|word| word.contains("json"));
    if !is_for_people || stdout.is_empty() {
        return None;
    }
    let mut table = format!("$ {}", normalised(&command.join(" ")));
    for line in stdout.lines() {
        let _ = write!(table, "\n  {}", normalised(line.trim_end()));
    }
    Some(table)
}

/// Replaces what differs from run to run: long hexadecimal numbers, long decimal ones, sizes, and names that were made up for a
/// temporary file.
fn normalised(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        text.push_str(before);
        text.push_str(replacement(word, &text).unwrap_or(word));
        rest = after;
    }
    text.push_str(rest);
    text
}

fn replacement(word: &str, before: &str) -> Option<&'static str> {
    let all = |of: fn(&u8) -> bool| word.bytes().all(|byte| of(&byte));
    if word.len() >= 12 && all(u8::is_ascii_hexdigit) {
        Some(if word.len() == 64 { "<digest>" } else { "<id>" })
    } else if word.len() >= 4 && all(u8::is_ascii_digit) && !before.ends_with("127.0.0.1:") {
        Some("<number>")
    } else if before.ends_with("/tmp.") || before.ends_with("/.tmp") {
        Some("<random>")
    } else {
        None
    }
}

/// A section begins with `## TEST`; entries follow, each of which is a line and the indented ones below it.
fn read(path: &Path) -> Sections {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut sections = Sections::new();
    let mut test = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut test);
        } else if !line.is_empty() {
            let mut entry = line.to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                entry.push('\n');
                entry.push_str(more);
            }
            sections.entry(test.clone()).or_default().insert(entry);
        }
    }
    sections
}

fn write(path: &Path, sections: &Sections) {
    let mut text = String::new();
    for (test, entries) in sections {
        let _ = writeln!(text, "{}## {test}\n", if text.is_empty() { "" } else { "\n" });
        for entry in entries {
            let _ = writeln!(text, "{entry}");
        }
    }
    let directory = path.parent().expect("it is in a directory");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .expect("the target directory can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_with_their_hints() {
        let stderr = "copying a to b\nerror: can't: it is 0123456789abcdef\n  hint: try 12345 times\nError: podman's own\nnote: x\nnote: waiting for a lock";
        let expected = ["error: can't: it is <id>\n  hint: try <number> times", "note: x"];
        assert_eq!(messages(stderr), expected.map(str::to_owned).into());
    }

    #[test]
    fn what_differs_is_replaced() {
        let digest = "a1".repeat(32);
        for (line, expected) in [
            (format!("x@sha256:{digest} is there"), "x@sha256:<digest> is there"),
            (
                "127.0.0.1:5000/lab/app:1 of process 4711".into(),
                "127.0.0.1:5000/lab/app:1 of process <number>",
            ),
            ("exit code 77 in /var/tmp/tmp.Ab12Cd".into(), "exit code 77 in /var/tmp/tmp.<random>"),
        ] {
            assert_eq!(normalised(&line), expected);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let sections = Sections::from([
            ("one".to_owned(), ["error: a\n  hint: b".to_owned(), "note: c".to_owned()].into()),
            ("two".to_owned(), ["note: d".to_owned()].into()),
        ]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("messages/x.txt");
        write(&path, &sections);
        assert_eq!(read(&path), sections);
    }
}
