//! The tests that pages name exist, and nothing cites rules of the design by number.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_row_names_tests_that_there_are() {
    let mut tests = BTreeSet::new();
    for directory in ["tests/tests", "host"] {
        collect(&root().join(directory), &mut tests);
    }
    let page = page("docs/explanation/threat-model.md");
    let rows = rows(&page, "who");
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in rows {
        let named = named(row);
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            assert!(tests.contains(name), "there is no test {name}: {row}");
        }
    }
}

/// There a name stands behind the file that it is in.
#[test]
fn what_works_of_the_guide_names_tests_that_there_are() {
    let page = page("docs/explanation/seed-coverage.md");
    let rows = rows(&page, "section");
    assert!(rows.len() >= 40, "{}", rows.len());
    for row in rows {
        let named = named(row);
        let said =
            ["not yet", "out of scope", "bootc's own"].iter().any(|words| last_cell(row).contains(words));
        assert!(said || !named.is_empty(), "no test: {row}");
        let mut tests = BTreeSet::new();
        for name in named {
            if name.ends_with(".rs") {
                let file = root().join("tests/tests").join(name);
                assert!(file.exists(), "there is no {name}: {row}");
                tests.clear();
                collect(&file, &mut tests);
            } else {
                assert!(tests.contains(name), "there is no test {name} in that file: {row}");
            }
        }
    }
}

/// There other code stands beside the names, so only what looks like the name of a test has to be one.
#[test]
fn reports_name_tests_that_there_are() {
    let mut tests = BTreeSet::new();
    for directory in ["tests/tests", "host", "plugins"] {
        collect(&root().join(directory), &mut tests);
    }
    let page = page("docs/explanation/field.md");
    let rows = rows(&page, "report");
    assert!(rows.len() >= 40, "{}", rows.len());
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
    };
    for row in rows {
        for name in named(row).into_iter().filter(is_test) {
            assert!(tests.contains(name), "there is no test {name}: {row}");
        }
    }
}

/// The rules had numbers once. A comment says the reason itself, or names the record or page that has it.
#[test]
fn nothing_cites_a_rule_by_number() {
    let (mut read, mut citing) = (0, Vec::new());
    for path in files(&root()) {
        let name = path.extension().unwrap_or_default().to_string_lossy();
        if ["rs", "md", "wit", "toml", "sh", "h", "diff"].contains(&&*name) {
            let text = fs::read_to_string(&path).unwrap();
            citing.extend(rules(&text).map(|rule| format!("{} cites {rule}", path.display())));
            read += 1;
        }
    }
    assert!(read >= 300, "{read}");
    assert!(citing.is_empty(), "{citing:#?}");
}

#[test]
fn a_cited_rule_is_found() {
    let number = "3.2";
    assert_eq!(rules(&format!("see (D{number}), D{number}. And SHA256, D, D3, D3.2x, 3D.1")).count(), 2);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Of the tables whose first column is called so.
fn rows<'a>(page: &'a str, first: &str) -> Vec<&'a str> {
    let heading = format!("| {first} ");
    page.lines().filter(|line| line.starts_with("| ") && !line.starts_with(&heading)).collect()
}

fn last_cell(row: &str) -> &str {
    row.trim_end_matches('|').rsplit('|').next().unwrap()
}

/// What is set as code in the last column.
fn named(row: &str) -> Vec<&str> {
    last_cell(row).split('`').skip(1).step_by(2).collect()
}

/// Words that are a D with the numbers of a chapter and of a rule.
fn rules(text: &str) -> impl Iterator<Item = &str> {
    let number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
    words.filter(move |word| {
        let numbers = word.strip_prefix('D').and_then(|rest| rest.split_once('.'));
        numbers.is_some_and(|(chapter, rule)| number(chapter) && number(rule))
    })
}

/// Names of the functions behind `#[test]`, in a file or below a directory.
fn collect(path: &Path, tests: &mut BTreeSet<String>) {
    let sources = files(path).into_iter().filter(|path| path.extension().is_some_and(|name| name == "rs"));
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let mut lines = text.lines();
        while lines.by_ref().any(|line| line.trim() == "#[test]") {
            let function = lines.by_ref().find_map(|line| line.trim().strip_prefix("fn ").map(str::to_owned));
            tests.extend(function.and_then(|function| Some(function.split_once('(')?.0.to_owned())));
        }
    }
}

/// All files below a directory, but for hidden ones and what is built; of a file itself alone.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            paths.extend(entries.filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                !name.starts_with('.') && name != "target"
            }));
        } else {
            files.push(path);
        }
    }
    files
}
