//! The pages of the documentation hang together: links lead somewhere, the book has every page, and each page is of one kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use bootc_image_tests::pages::{anchors, files, links};

/// The kinds of pages: a folder each, and the pages that are beside them.
const KINDS: [&str; 5] = ["tutorial", "how-to", "reference", "explanation", "adr"];
const BESIDE: [&str; 3] = ["SUMMARY.md", "introduction.md", "glossary.md"];

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    let mut pages = book();
    pages.extend(files(&root.join("plugins"), "README.md"));
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/hostile/MATRIX.md"]
            .map(|page| root.join(page)),
    );
    let mut all = 0;
    let mut broken = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for (line, target) in links(&text) {
            all += 1;
            if let Some(why) = fault(&root, page, &text, &target) {
                broken.push(format!("{}:{line}: {target}: {why}", shown(page)));
            }
        }
    }
    assert!(all >= 200, "{all}");
    assert!(broken.is_empty(), "links:\n  {}\n", broken.join("\n  "));
}

#[test]
fn the_book_has_every_page_once() {
    let summary = root().join("docs/SUMMARY.md");
    let listed: Vec<String> =
        links(&fs::read_to_string(&summary).unwrap()).into_iter().map(|(_, target)| target).collect();
    let there: BTreeSet<String> = book()
        .iter()
        .filter(|page| **page != summary)
        .map(|page| page.strip_prefix(root().join("docs")).unwrap().display().to_string())
        .collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice: {listed:#?}");
    assert_eq!(once, there, "docs/SUMMARY.md (left) and the pages below docs (right)");
}

#[test]
fn every_page_is_of_one_kind() {
    for page in book() {
        let path = page.strip_prefix(root().join("docs")).unwrap().to_owned();
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let is_placed = match parts[..] {
            [file] => BESIDE.contains(&file),
            [folder, _] => KINDS.contains(&folder),
            _ => false,
        };
        assert!(is_placed, "docs/{}: a page is in one of {KINDS:?}", path.display());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let root = root();
    let page = root.join("docs/reference/images.md");
    let text = "# Images\n\n## What's *there*\n\n## A `b`\n\n## A `b`\n";
    let of = |target: &str| fault(&root, &page, text, target);
    for fine in [
        "cmd.md",
        "../glossary.md#terms",
        "#whats-there",
        "#a-b",
        "#a-b-1",
        "https://example.com/x#y",
        "../schema/plugin.schema.json",
    ] {
        assert_eq!(of(fine), None, "{fine}");
    }
    for broken in [
        "gone.md",
        "#gone",
        "#a-b-2",
        "../glossary.md#gone",
        "/docs/glossary.md",
        "../../README.md",
        "../../../x",
    ] {
        assert!(of(broken).is_some(), "{broken}");
    }
    assert_eq!(
        links("a [b](c.md), `[x](y)`\n```text\n[d](e.md)\n```\n[f\ng](h#i)\n"),
        [(1, "c.md".to_owned()), (6, "h#i".to_owned())]
    );
}

/// What is wrong with a link.
fn fault(root: &Path, page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let (linked, text) = if path.is_empty() {
        (page.to_owned(), text.to_owned())
    } else {
        let linked = normalised(&page.parent()?.join(path));
        let docs = normalised(&root.join("docs"));
        if path.starts_with('/') {
            return Some("is not relative".to_owned());
        }
        if !linked.exists() {
            return Some("is not there".to_owned());
        }
        // Only what is below docs is in the book: name a file of the project as code instead.
        if normalised(page).starts_with(&docs) && !linked.starts_with(&docs) {
            return Some("leads out of the book".to_owned());
        }
        let text = if linked.extension().is_some_and(|extension| extension == "md") {
            fs::read_to_string(&linked).unwrap()
        } else {
            String::new()
        };
        (linked, text)
    };
    let anchor = anchor?;
    let is_there = anchors(&text).iter().any(|there| there == anchor);
    (!is_there).then(|| format!("{} has no heading for #{anchor}", shown(&linked)))
}

/// Without `..`, and without looking at the disk.
fn normalised(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        if part == Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
        path
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn book() -> Vec<PathBuf> {
    files(&root().join("docs"), ".md")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
