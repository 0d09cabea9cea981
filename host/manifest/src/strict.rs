//! Strict parsing of the TOML files that administrators and plugin authors write. Anything unknown is an error that names the line,
//! the key and, if there is a similar word, what was probably meant.

use std::fmt;
use std::ops::Range;

use bootc_image_model::plugin::PluginId;
use bootc_image_model::sanitize::sanitize;
use toml::Spanned;

/// The first error in a file, with its line and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    line: Option<usize>,
    key: Option<String>,
    what: String,
}

/// Sanitizes a text and removes the middle of one that is too long: a message begins with the wrong value and ends with what is
/// wrong about it.
fn brief(text: &str) -> String {
    const HEAD: usize = 100;
    const TAIL: usize = 300;
    let count = text.chars().count();
    if count <= HEAD + TAIL {
        return sanitize(text);
    }
    let (head, tail) = (text.chars().take(HEAD), text.chars().skip(count - TAIL));
    sanitize(&head.chain(['…']).chain(tail).collect::<String>())
}

impl Diagnostic {
    pub fn new(what: impl Into<String>) -> Self {
        Self { line: None, key: None, what: what.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Diagnostic {}

/// The text of a file, in which the lines of errors are found.
#[derive(Clone, Copy)]
pub struct Source<'a>(pub &'a str);

impl<'a> Source<'a> {
    /// An error about `key` at `span`.
    pub fn error_at(self, span: Range<usize>, key: &str, what: impl AsRef<str>) -> Diagnostic {
        Diagnostic { line: Some(self.line(span.start)), key: Some(brief(key)), what: brief(what.as_ref()) }
    }

    /// Parses the value of `key` with `check`. An error of `check` gets the line and the key.
    pub fn checked<T>(
        self,
        value: &Spanned<String>,
        key: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Diagnostic> {
        check(value.get_ref()).map_err(|what| self.error_at(value.span(), key, what))
    }

    /// Parses a plugin id.
    pub fn id(self, value: &Spanned<String>, key: &str) -> Result<PluginId, Diagnostic> {
        self.checked(value, key, |text| PluginId::new(text).map_err(|error| error.to_string()))
    }

    /// Parses an optional value of `key` with `check`.
    pub fn maybe<T>(
        self,
        value: Option<&Spanned<String>>,
        key: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Diagnostic> {
        value.map(|value| self.checked(value, key, check)).transpose()
    }

    /// Translates an error of the TOML parser, which has the position but not always the key, and suggests nothing.
    pub fn syntax(self, error: &toml::de::Error) -> Diagnostic {
        let start = error.span().map(|span| span.start);
        let message = error.message();
        let mut words = quoted(message);
        let (key, what) = match (message.split('`').next(), words.next()) {
            (Some("unknown field "), Some(unknown)) => {
                let hint = nearest(unknown, words).map(|known| format!("; did you mean `{known}`?"));
                (Some(unknown.to_owned()), format!("unknown key{}", hint.unwrap_or_default()))
            }
            (Some("missing field "), Some(missing)) => (Some(missing.to_owned()), "missing".to_owned()),
            _ => (start.and_then(|start| self.key_at(start)), message.to_owned()),
        };
        Diagnostic {
            line: start.map(|start| self.line(start)),
            key: key.map(|key| brief(&key)),
            what: brief(&what),
        }
    }

    fn line(self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    /// The key of the line on which `offset` lies, if that is the line of a key and its value.
    fn key_at(self, offset: usize) -> Option<String> {
        let line = self.0.lines().nth(self.line(offset) - 1)?;
        let key = line.split_once('=')?.0.trim();
        // Only a plain key is repeated in a message: the file may be some other file, with secrets in it.
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (plain && (1..=64).contains(&key.len())).then(|| key.to_owned())
    }

    fn before(self, offset: usize) -> &'a str {
        self.0.get(..offset).unwrap_or(self.0)
    }
}

/// Checks that a word is one of a few. The error suggests the most similar one.
pub fn one_of<'a>(word: &str, known: &[&'a str], what: &str) -> Result<&'a str, String> {
    known.iter().copied().find(|known| *known == word).ok_or_else(|| {
        let hint = nearest(word, known.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
        let hint = hint.unwrap_or_else(|| format!("; expected one of: {}", known.join(", ")));
        format!("{word:?} is not {what}{hint}")
    })
}

/// Finds the value with the name `word`. The error suggests the most similar name.
pub fn named<T: Copy>(
    word: &str,
    all: &[T],
    name: impl Fn(&T) -> &'static str,
    what: &str,
) -> Result<T, String> {
    let names: Vec<&str> = all.iter().map(&name).collect();
    let found = one_of(word, &names, what)?;
    let found = all.iter().find(|one| name(one) == found);
    found.copied().ok_or_else(|| format!("{word:?} is unknown"))
}

/// 64 lower-case hexadecimal digits.
pub fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not 64 lower-case hexadecimal digits"))
    }
}

/// The words between backticks in an error message of serde.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// The longest word that is compared with others, in bytes.
const LONGEST_WORD: usize = 64;

/// The word of `known` that was probably meant by `word`.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing errors, and the cost of comparing is the product of their lengths.
    let is_short = |word: &&str| word.len() <= LONGEST_WORD;
    if !is_short(&word) {
        return None;
    }
    let scored = known.filter(is_short).map(|known| (strsim::damerau_levenshtein(word, known), known));
    let (distance, known) = scored.min_by_key(|(distance, _)| *distance)?;
    // Up to a third of the letters may be wrong; beyond that a suggestion would be a guess.
    (distance <= known.len().max(3) / 3).then_some(known)
}
