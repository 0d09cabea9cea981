//! The walk through the code in docs/explanation/architecture.md leads where it says.
//!
//! The section is a list, in which each item names a file from the root of the project and what to look at in there, all
//! between backticks:
//!
//! ```text
//! 1. `host/cli/src/lib.rs`: `run()` makes a `Request` of what was typed
//! ```
//!
//! An identifier is what `()` follows, or what begins with a capital letter; of `Approved<Operation>` and
//! `Request::from_arguments()` that is each part which does. It must be in the code of the file that its item names last
//! before it, or of the item's first file if there is none before it; a comment doesn't count. Whatever else is between
//! backticks isn't looked at. A file without an identifier is a mistake, and so is a file outside the list that isn't there.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::{ARCHITECTURE, House, code};

const HEADING: &str = "## One operation, from argv to report";

pub fn walk(house: &House) -> Vec<String> {
    let text = house.files.get(ARCHITECTURE).map(String::as_str).unwrap_or_default();
    let Some(paragraphs) = paragraphs(text) else {
        return vec![format!("{ARCHITECTURE} has no section {HEADING:?}")];
    };
    let mut complaints = Vec::new();
    let mut steps = 0;
    for Paragraph { text, is_item } in &paragraphs {
        for (file, identifiers) in files(text) {
            steps += usize::from(*is_item);
            let Some(code) = house.files.get(file) else {
                complaints.push(format!("{ARCHITECTURE}: {file}: there is no such file"));
                continue;
            };
            if *is_item && identifiers.is_empty() {
                complaints.push(format!("{ARCHITECTURE}: nothing is named beside {file}: {text}"));
            }
            let words = code.parse().map(words).unwrap_or_default();
            for missing in identifiers.iter().filter(|identifier| !words.contains(**identifier)) {
                complaints.push(format!("{ARCHITECTURE}: there is no {missing} in {file}"));
            }
        }
    }
    if steps == 0 {
        complaints.push(format!("{ARCHITECTURE}: no item of {HEADING:?} names a file"));
    }
    complaints
}

struct Paragraph {
    text: String,
    is_item: bool,
}

/// Of the section; each item of a list is one of its own, and code between ``` is left out.
fn paragraphs(text: &str) -> Option<Vec<Paragraph>> {
    let mut lines = text.lines().skip_while(|line| line.trim_end() != HEADING);
    lines.next()?;
    let (mut all, mut after_empty, mut in_code) = (Vec::<Paragraph>::new(), true, false);
    for line in lines.take_while(|line| !line.starts_with("## ") && !line.starts_with("# ")) {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            in_code = !in_code;
        } else if !in_code && !trimmed.is_empty() {
            let is_item = begins_item(trimmed);
            let goes_on = !after_empty || line.starts_with("  ");
            match all.last_mut().filter(|_| !is_item && goes_on) {
                Some(paragraph) => paragraph.text += &format!(" {trimmed}"),
                None => all.push(Paragraph { text: trimmed.to_owned(), is_item }),
            }
        }
        after_empty = trimmed.is_empty() || trimmed.starts_with("```");
    }
    Some(all)
}

fn begins_item(line: &str) -> bool {
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_number.len() < line.len() && after_number.starts_with(". ");
    numbered || line.starts_with("- ") || line.starts_with("* ")
}

/// The files that are named, each with the identifiers beside it.
fn files(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut files = Vec::<(&str, Vec<&str>)>::new();
    let mut before_any = Vec::new();
    for span in text.split('`').skip(1).step_by(2) {
        if span.ends_with(".rs") {
            files.push((span, std::mem::take(&mut before_any)));
        } else {
            files.last_mut().map_or(&mut before_any, |(_, beside)| beside).extend(identifiers(span));
        }
    }
    files
}

fn identifiers(span: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !span.chars().all(|c| is_word(c) || "<>():,&".contains(c)) {
        return Vec::new();
    }
    let words = span.split_inclusive(|c| !is_word(c)).map(|word| {
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        word.split_at(end)
    });
    let named = |(word, after): &(&str, &str)| {
        !word.is_empty() && (word.starts_with(|c: char| c.is_ascii_uppercase()) || *after == "(")
    };
    words.filter(named).map(|(word, _)| word).collect()
}

/// The names in code.
fn words(tokens: TokenStream) -> BTreeSet<String> {
    let of_token = |token: TokenTree| match token {
        TokenTree::Ident(ident) => BTreeSet::from([code::name(&ident)]),
        TokenTree::Group(group) => words(group.stream()),
        _ => BTreeSet::new(),
    };
    tokens.into_iter().flat_map(of_token).collect()
}
