//! The texts in shipped sources that people are told.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, LitStr, Macro, Meta};

use super::House;
use super::shipped::{only_for_tests, shipped};

/// Crates that run on a host.
const FOLDERS: [&str; 2] = ["host/", "plugins/"];
/// These run while something is built, or say nothing to people.
const ELSEWHERE: [&str; 4] = ["host/packager/", "host/plugin-builder/", "/tests/", "/build.rs"];
/// What is shorter is a name, a key or a path.
const FEWEST_WORDS: usize = 3;

/// A text, with `{...}` where values are put into it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    pub file: String,
    pub text: String,
    /// What stands between the values.
    parts: Vec<String>,
}

impl Text {
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), parts: parts(text) }
    }

    /// The longest text between two values.
    pub fn longest_part(&self) -> &str {
        self.parts.iter().max_by_key(|part| part.len()).map(|part| part.trim()).unwrap_or_default()
    }

    /// Whether it stands in what was printed, with some values.
    pub fn is_in(&self, printed: &str) -> bool {
        let mut rest = printed;
        self.parts.iter().all(|part| match rest.find(part.trim()) {
            Some(at) => {
                rest = &rest[at + part.trim().len()..];
                true
            }
            None => false,
        })
    }

    /// Its lines that have words in them.
    pub fn lines(&self) -> Vec<Self> {
        let line = |line: &str| Self::new(&self.file, line);
        self.text.lines().filter(|line| line.chars().any(char::is_alphabetic)).map(line).collect()
    }

    /// Whether a test that has this literal expects it: most of its words stand there.
    pub fn is_expected_by(&self, literal: &str) -> bool {
        let longest = self.longest_part();
        let words = |text: &str| text.split_whitespace().count();
        // As it stands there: it need not be the text of a format.
        literal.contains(&self.text)
            || self.is_in(literal)
            || words(longest) >= FEWEST_WORDS && literal.contains(longest)
            || words(literal) >= FEWEST_WORDS && longest.contains(literal.trim())
    }
}

fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        part.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") {
            part.push_str(&from[..1]);
            rest = &from[2..];
        } else {
            parts.push(std::mem::take(&mut part));
            rest = from.find('}').map_or("", |end| &from[end + 1..]);
        }
    }
    part.push_str(rest);
    parts.push(part);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// What tests of the crates that run on a host, and the tests that drive them, have as literals.
pub fn expectations(house: &House) -> Vec<String> {
    let mut literals = Vec::new();
    for (file, source) in &house.files {
        if !file.ends_with(".rs") || file.starts_with("tests/guests") {
            continue;
        }
        let Ok(parsed) = syn::parse_file(source) else { continue };
        let is_of_tests =
            file.contains("/tests/") || file.starts_with("tests/") || file.ends_with("tests.rs");
        let mut found = Found { only_tests: !is_of_tests, ..Found::default() };
        found.visit_file(&parsed);
        literals.extend(found.texts.into_iter().filter(|text| is_sentence(text)));
    }
    literals
}

/// Texts of sentences: what is logged isn't among them, nor is documentation.
pub fn texts(house: &House) -> Vec<Text> {
    let mut texts = Vec::new();
    for (file, source) in &house.files {
        let ships = FOLDERS.iter().any(|folder| file.starts_with(folder))
            && ELSEWHERE.iter().all(|part| !file.contains(part) && !file.ends_with("tests.rs"));
        if !ships {
            continue;
        }
        let Ok(shipped) = shipped(source) else { continue };
        let mut found = Found::default();
        for item in &shipped.items {
            found.visit_item(item);
        }
        let text = |text: String| Text::new(file, &text);
        texts.extend(found.texts.into_iter().filter(|text| is_sentence(text)).map(text));
    }
    texts.sort();
    texts.dedup();
    texts
}

fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| word.chars().any(char::is_alphabetic) && !word.starts_with('{');
    text.split_whitespace().filter(is_word).count() >= FEWEST_WORDS
}

#[derive(Default)]
struct Found {
    texts: Vec<String>,
    /// Everything else is passed by.
    only_tests: bool,
}

impl Found {
    /// Of a macro, or of an attribute: `tracing::info!` and the like are skipped here too.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut logs = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    if !std::mem::take(&mut logs) {
                        self.tokens(group.stream());
                    }
                }
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.texts.push(text.value());
                    }
                }
                TokenTree::Ident(ident) if ident == "tracing" => logs = true,
                TokenTree::Punct(_) | TokenTree::Ident(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, node: &'ast Item) {
        let for_tests = match node {
            Item::Mod(module) => only_for_tests(&module.attrs),
            Item::Fn(function) => only_for_tests(&function.attrs),
            _ => false,
        };
        if !self.only_tests {
            visit::visit_item(self, node);
        } else if for_tests {
            let mut inside = Self::default();
            visit::visit_item(&mut inside, node);
            self.texts.append(&mut inside.texts);
        }
    }

    fn visit_lit_str(&mut self, node: &'ast LitStr) {
        self.texts.push(node.value());
    }

    fn visit_attribute(&mut self, node: &'ast Attribute) {
        if let Meta::List(list) = &node.meta
            && !list.path.is_ident("expect")
            && !list.path.is_ident("allow")
        {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, node: &'ast Macro) {
        let logs = node.path.segments.first().is_some_and(|first| first.ident == "tracing");
        if !logs {
            self.tokens(node.tokens.clone());
        }
        visit::visit_macro(self, node);
    }
}
