//! Every text that the program can tell somebody was seen: it stands in a snapshot, where a test has really provoked it; or a test
//! of the crate expects it, since it is about input that is easier made there; or it stands in `tests/golden/unseen.txt`, with the
//! reason why it can't be provoked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bootc_image_tests::house::{House, Text, expectations, texts};
use bootc_image_tests::pages::files;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything that tests have seen printed: messages, tables, help.
fn printed() -> Vec<String> {
    let golden = files(&workspace().join("tests/golden"), ".txt");
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let pages = files(&workspace().join("docs/reference"), ".md");
    let seen = golden.iter().filter(|path| !path.ends_with("unseen.txt")).chain(&pages);
    seen.flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Lines of `FILE: TEXT` below the reason, a comment.
fn unseen() -> BTreeSet<String> {
    let text = fs::read_to_string(workspace().join("tests/golden/unseen.txt")).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

fn line(text: &Text) -> String {
    format!("{}: {}", text.file, text.text.replace('\n', "\\n")).trim_end().to_owned()
}

#[test]
fn every_text_was_seen_or_has_a_reason_why_not() {
    let printed = printed();
    let house = House::at(&workspace());
    let (texts, expected) = (texts(&house), expectations(&house));
    assert!(texts.len() > 300, "{} texts: the sources aren't read", texts.len());
    // Most lines are ruled out at once.
    let all_printed = printed.join("\n");
    let is_printed = |part: &Text| {
        all_printed.contains(part.longest_part()) && printed.iter().any(|line| part.is_in(line))
    };
    let is_seen = |text: &Text| {
        text.lines().iter().all(is_printed) || expected.iter().any(|literal| text.is_expected_by(literal))
    };
    let is_unseen = |text: &&Text| !is_seen(text);
    let found: BTreeSet<String> = texts.iter().filter(is_unseen).map(line).collect();
    let listed = unseen();
    let missing: Vec<_> = found.difference(&listed).cloned().collect();
    let seen: Vec<_> = listed.difference(&found).cloned().collect();
    assert!(
        missing.is_empty(),
        "{} of {} were never seen printed: provoke them in a test, or say in tests/golden/unseen.txt why that can't be\n{}",
        missing.len(),
        texts.len(),
        missing.join("\n")
    );
    assert!(
        seen.is_empty(),
        "these have been seen, or aren't there any more, so they leave tests/golden/unseen.txt:\n{}",
        seen.join("\n")
    );
}

#[test]
fn a_text_is_found_with_its_values() {
    let text = |text: &str| Text::new("", text);
    let message = text("cannot {what} {path}: it is {0:?}");
    assert!(message.is_in("error: cannot read /etc/x: it is \"gone\""));
    assert!(!message.is_in("error: cannot read /etc/x"));
    assert!(!text("{0} names more than one image").is_in("a names one image"));
    assert!(!message.is_expected_by("/etc/x is gone for good"));
    assert!(text("{0} names more than one image").is_expected_by("names more than one"));
    assert_eq!(text("one\n  two {x}\n").lines().len(), 2);
}
