//! Patterns of names: `*` and `?` stay within a part of a path, `**` doesn't, `[...]` is one of several characters.

use std::borrow::Cow;

use glob::{MatchOptions, Pattern};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob<'a> {
    /// Most are plain names. Settings are read anew for every operation, and these cost next to nothing.
    Plain(Cow<'a, str>),
    /// With wildcards.
    Pattern(Pattern),
}

impl<'a> Glob<'a> {
    /// Reads a pattern, or says what is wrong with it.
    pub(crate) fn new(text: Cow<'a, str>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Plain(text));
        }
        match Pattern::new(&text) {
            Ok(pattern) => Ok(Self::Pattern(pattern)),
            Err(error) => Err(format!("{text:?} isn't a pattern: {}", error.msg)),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain == text,
            Self::Pattern(pattern) => pattern.matches_with(text, OPTIONS),
        }
    }

    /// The whole text that it stands for, if it has no wildcards.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(plain) => Some(plain),
            Self::Pattern(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Plain(plain) => plain,
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part_and_double_stars_dont() {
        for (pattern, text, expected) in [
            ("quay.io", "quay.io", true),
            ("quay.io", "quayXio", false),
            ("quay.io", "quay.io:443", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("**", "a/b/c", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**", "ab/c", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a?c", "a/c", false),
            ("9.[0-4]", "9.4", true),
            ("9.[0-4]", "9.5", false),
            ("9.[!0-4]", "9.5", true),
            ("*.example.com", "r.example.com", true),
            ("*.example.com", "example.com", false),
            ("A", "a", false),
        ] {
            assert_eq!(Glob::new(pattern.into()).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_isnt_a_pattern_is_told() {
        for pattern in ["", "[", "a[b", "***", "a**", "**b", "a/**b"] {
            assert!(Glob::new(pattern.into()).is_err(), "{pattern}");
        }
    }
}
