//! The pages of the documentation as tests read them: Markdown in lines, with what is code set apart. A small part of Markdown is
//! enough: headings with `#`, code between fences, inline code and links in one line or paragraph.

use std::fs;
use std::path::{Path, PathBuf};

/// A line that is code has the language of its block, which may be empty.
pub struct Line<'a> {
    pub number: usize,
    pub text: &'a str,
    pub code: Option<&'a str>,
}

/// All lines of a text but the fences of its code blocks.
pub fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut block: Option<(&str, &str)> = None;
    for (index, text) in text.lines().enumerate() {
        let trimmed = text.trim_start();
        let fence = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence));
        match (block, fence) {
            (None, Some(fence)) => block = Some((fence, trimmed[fence.len()..].trim())),
            (Some((open, _)), Some(fence)) if open == fence => block = None,
            _ => lines.push(Line { number: index + 1, text, code: block.map(|(_, language)| language) }),
        }
    }
    lines
}

/// A line with blanks in the place of inline code.
pub fn without_inline_code(line: &str) -> String {
    let mut parts = line.split('`');
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let Some(code) = parts.next() {
        match parts.next() {
            Some(after) => text = text + " \u{fffc} " + after,
            None => text = text + "`" + code,
        }
    }
    text
}

/// The anchors of a page, as mdBook and GitHub make them of its headings.
pub fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for line in lines(text).iter().filter(|line| line.code.is_none()) {
        let title = line.text.trim_start_matches('#');
        if title.len() == line.text.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title.trim());
        let before = anchors.iter().filter(|other| **other == anchor).count();
        anchors.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
    }
    anchors
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

/// The targets of links, each with its line.
pub fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for line in lines(text).iter().filter(|line| line.code.is_none()) {
        let text = without_inline_code(line.text);
        for after in text.split("](").skip(1) {
            if let Some((target, _)) = after.split_once(')') {
                links.push((line.number, target.to_owned()));
            }
        }
    }
    links
}

/// The documentation in a source file as Markdown: what follows `///` and `//!`, in its line; other lines are empty.
pub fn documentation(source: &str) -> String {
    let comment = |line: &str| {
        let line = line.trim_start();
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).unwrap_or_default();
        text.strip_prefix(' ').unwrap_or(text).to_owned() + "\n"
    };
    source.lines().map(comment).collect()
}

/// All files below a folder that end so, sorted; none if there is no such folder.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
