//! The switches of tests (`tests/mutants/switches.diff`): each fits the sources as they are, every check that a test switches off
//! has one, and every one is a test's.

#![expect(unused_macros, dead_code, reason = "what the build script makes of the matrix is for hostile.rs")]

mod harms;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bootc_image_tests::mutants;
use harms::HARMS;

/// As in `hostile.rs`; the mechanism is what is switched off.
struct Row {
    mechanism: &'static str,
    guest: &'static str,
    test: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/hostile.rs"));

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_switch_fits_the_sources() {
    let files = mutants::apply(&workspace(), &mutants::all(&workspace()).unwrap());
    files.unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn every_switch_is_of_a_test_and_every_test_has_one() {
    let mutants = mutants::all(&workspace()).unwrap();
    let switches: BTreeSet<&str> =
        mutants.iter().flat_map(|mutant| &mutant.checks).map(String::as_str).collect();
    let of_rows = ROWS.iter().map(|row| row.mechanism).filter(|mechanism| !mechanism.is_empty());
    let tested: BTreeSet<&str> = of_rows.chain(HARMS.iter().map(|(check, ..)| *check)).collect();
    let missing: Vec<_> = tested.difference(&switches).collect();
    let unused: Vec<_> = switches.difference(&tested).collect();
    assert!(missing.is_empty(), "{} has no switch for what tests switch off: {missing:?}", mutants::SWITCHES);
    assert!(unused.is_empty(), "no test switches these off that {} has: {unused:?}", mutants::SWITCHES);
}

/// What happens to an entry when the sources change.
fn applied(source: &str, table: &str) -> Result<String, String> {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(workspace.path().join("host/model/src")).unwrap();
    std::fs::write(workspace.path().join("host/model/src/a.rs"), source).unwrap();
    let files = mutants::parse(table).and_then(|mutants| mutants::apply(workspace.path(), &mutants));
    files.map(|files| files["host/model/src/a.rs"].clone()).map_err(|problem| format!("{problem:#}"))
}

const SOURCE: &str = "fn a() {\n    if bad {\n        deny();\n    }\n}\n";
const ENTRY: &str = "# Text.\n\ncheck: host/model/src/a.rs\n-    if bad {\n+    if bad && !is_off(\"check\") {\n         deny();\n";

#[test]
fn a_switch_is_added() {
    let mutated = applied(SOURCE, ENTRY).unwrap();
    let expected = SOURCE.replace("if bad", "if bad && !is_off(\"check\")");
    let (code, function) = mutated.split_at(expected.len());
    assert_eq!(code, expected);
    assert!(function.contains("fn is_off(check: &str) -> bool"), "{function}");
}

#[test]
fn a_switch_that_doesnt_fit_is_an_error() {
    let other = |from: &str, to: &str| applied(SOURCE, &ENTRY.replace(from, to)).unwrap_err();
    for (problem, expected) in [
        (applied("fn a() {}\n", ENTRY).unwrap_err(), "the file has these lines 0 times"),
        (applied(&SOURCE.repeat(2), ENTRY).unwrap_err(), "the file has these lines 2 times"),
        (
            applied(SOURCE, &format!("{ENTRY}\n{ENTRY}")).unwrap_err(),
            "changes lines that the entry before it",
        ),
        (other("a.rs", "b.rs"), "No such file"),
        (other("is_off(\"check\")", "is_off(\"other\")"), "asks for no \"check\""),
        (other("check: ", "check, more: "), "asks for no \"more\""),
        (other("bad && ", "bad && is_off(\"more\") && "), "asks for \"more\", too"),
        (other("!is_off(\"check\")", "check == \"check\""), "no switch"),
        (other("\n+ ", "\n* "), "begins with neither"),
        (other("check: ", "check "), "not `CHECK, ...: FILE`"),
    ] {
        assert!(problem.contains("tests/mutants/switches.diff:") && problem.contains(expected), "{problem}");
    }
    let told = applied("fn a() {}\n", ENTRY).unwrap_err();
    assert!(
        told.contains("switches.diff:3: check in host/model/src/a.rs")
            && told.contains("write the entry anew")
    );
}
