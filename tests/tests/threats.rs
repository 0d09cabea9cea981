//! What the pages say is so: where a row names a test, there is one, and a rule of the design that is cited is on its page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_row_names_tests_that_there_are() {
    let mut tests = BTreeSet::new();
    for directory in ["tests/tests", "host"] {
        collect(&root().join(directory), &mut tests);
    }
    let page = page("docs/threat-model.md");
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
    let page = page("docs/seed-coverage.md");
    let rows = rows(&page, "section");
    assert!(rows.len() >= 40, "{}", rows.len());
    for row in rows {
        let named = named(row);
        let said = ["not yet", "not ours", "bootc's own"].iter().any(|words| last_cell(row).contains(words));
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

#[test]
fn every_rule_that_is_cited_is_on_the_page_of_the_design() {
    let page = page("docs/design.md");
    let stands = |line: &str| {
        let head = line.strip_prefix("## ").or_else(|| line.strip_prefix("- **"))?;
        rules(head).next().map(str::to_owned)
    };
    let there: BTreeSet<String> = page.lines().filter_map(stands).collect();
    let mut cited = 0;
    for path in files(&root()) {
        let name = path.extension().unwrap_or_default().to_string_lossy();
        if ["rs", "md", "wit", "toml", "sh"].contains(&&*name) {
            for rule in rules(&fs::read_to_string(&path).unwrap()) {
                assert!(there.contains(rule), "{} cites {rule}", path.display());
                cited += 1;
            }
        }
    }
    assert!(cited >= 80, "{cited}");
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

/// Words that are a D with a chapter, or with a rule in one.
fn rules(text: &str) -> impl Iterator<Item = &str> {
    let number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
    words.filter(move |word| {
        let numbers = word.strip_prefix('D').map(|rest| rest.split_once('.').unwrap_or((rest, "0")));
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
