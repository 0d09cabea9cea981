//! Words that are forbidden (CONTRIBUTING.md, "Words that are not used") are used nowhere where users read: in the
//! book, README, CONTRIBUTING, help, recorded messages, and the documentation of the SDKs and of the plugin interfaces.

use std::fs;
use std::path::{Path, PathBuf};

use bootc_image_tests::pages::{documentation, files, lines, without_inline_code};

const LIST: &str = "CONTRIBUTING.md";
const HEADING: &str = "## Words that are not used";

/// A phrase, and what is written in its place.
type Words = Vec<(String, String)>;

#[test]
fn nobody_uses_words_that_are_forbidden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let contributing = read(&root.join(LIST));
    let words = forbidden(&contributing);
    assert!(words.len() >= 30, "{}", words.len());

    let named = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut pages = files(&root.join("docs"), ".md");
    pages.extend(files(&root.join("plugins"), "README.md"));
    pages.push(root.join("README.md"));
    for path in &pages {
        texts.push((named(path), prose(&read(path))));
    }
    texts.push((LIST.to_owned(), prose(contributing.split(HEADING).next().unwrap())));
    for path in files(&root.join("tests/golden"), "") {
        texts.push((named(&path), read(&path)));
    }
    let sources: Vec<PathBuf> = ["wit", "plugin-sdk/src", "extension-sdk/src"]
        .into_iter()
        .flat_map(|folder| [".rs", ".wit"].map(|ending| files(&root.join(folder), ending)))
        .flatten()
        .collect();
    for path in sources {
        texts.push((named(&path), prose(&documentation(&read(&path)))));
    }
    assert!(texts.len() >= 60, "{}", texts.len());

    let found: Vec<String> = texts.iter().flat_map(|(name, text)| uses(name, text, &words)).collect();
    assert!(found.is_empty(), "words that {LIST} forbids:\n  {}\n", found.join("\n  "));
}

#[test]
fn a_forbidden_word_is_found() {
    let list = format!(
        "# Contributing\n\n{HEADING}\n\nText.\n\n| not | instead |\n|---|---|\n| mend | fix |\n| has the last word | overrides it |\n"
    );
    let words = forbidden(&list);
    assert_eq!(words.len(), 2);
    let found = |text: &str| uses("page", &prose(text), &words);
    assert_eq!(
        found("# A\n\nIt\nMends, and\nthe file has\nthe last  word.\n"),
        ["page:5: \"has the last word\" (instead: overrides it)"]
    );
    assert_eq!(found("```text\nplease mend it\n```\n"), ["page:2: \"mend\" (instead: fix)"]);
    assert_eq!(found("```console\n# mend\n```\n").len(), 1);
    assert_eq!(found("> **Mend** it, and `mend`\n").len(), 1);
    for fine in ["amends, mending, re_mend", "`mend`", "```sh\nmend\n```\n", "the last\n\nword has"] {
        assert_eq!(found(fine), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(
        uses("code", &prose(&documentation("/// It can\n/// mend.\nfn mend() {}\n")), &words).len(),
        1
    );
}

/// The rows of the table.
fn forbidden(text: &str) -> Words {
    let table = text.split_once(HEADING).expect("the file has the section").1;
    let rows = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.skip(1).map(|(not, instead)| (not.to_lowercase(), instead.to_owned())).collect()
}

/// What people read of a page, line by line. Inline code and code of our own languages are left out, since they have to be as they
/// are; what a program prints is not.
fn prose(text: &str) -> String {
    let mut prose = vec![String::new(); text.lines().count()];
    for line in lines(text) {
        prose[line.number - 1] = match line.code {
            None => without_inline_code(line.text),
            Some("text" | "console") => line.text.to_owned(),
            Some(_) => "\u{fffc}".to_owned(),
        };
    }
    prose.join("\n")
}

/// Where a text uses forbidden words. A phrase may go on in the next line, but not over an empty one.
fn uses(name: &str, text: &str, words: &Words) -> Vec<String> {
    let mut spaced = String::new();
    let mut starts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let folded = line.to_lowercase().replace('\u{2019}', "'");
        let folded: Vec<&str> = folded.split_whitespace().collect();
        starts.push((spaced.len(), index + 1));
        spaced += if folded.is_empty() { "\u{fffc} " } else { "" };
        spaced.extend(folded.iter().flat_map(|word| [word.trim_start_matches(['>', '*']), " "]));
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (phrase, instead) in words {
        for (at, _) in spaced.match_indices(phrase.as_str()) {
            let before = spaced[..at].chars().next_back().is_some_and(is_word);
            let after = spaced[at + phrase.len()..].chars().next().is_some_and(is_word);
            let ends_in_word = phrase.chars().next_back().is_some_and(is_word);
            let is_part_of_a_word = before || (after && ends_in_word);
            if !is_part_of_a_word {
                let line =
                    starts.iter().take_while(|(start, _)| *start <= at).last().map_or(0, |(_, line)| *line);
                found.push(format!("{name}:{line}: {phrase:?} (instead: {instead})"));
            }
        }
    }
    found
}
