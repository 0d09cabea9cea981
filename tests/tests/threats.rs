//! The threat model names a test for every row, and the test exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_row_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut tests = BTreeSet::new();
    for directory in ["tests/tests", "host"] {
        collect(&root.join(directory), &mut tests);
    }
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| who ")).collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            assert!(tests.contains(name), "there is no test {name}: {row}");
        }
    }
}

/// Names of the functions behind `#[test]`.
fn collect(directory: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            while lines.by_ref().any(|line| line.trim() == "#[test]") {
                let function =
                    lines.by_ref().find_map(|line| line.trim().strip_prefix("fn ").map(str::to_owned));
                tests.extend(function.and_then(|function| Some(function.split_once('(')?.0.to_owned())));
            }
        }
    }
}
