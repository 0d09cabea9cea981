//! Patterns of names: `*` and `?` match within one part of a path, `**` matches any number of parts, `[...]` matches one of several
//! characters.

use std::borrow::Cow;

use glob::{MatchOptions, Pattern};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern. It is compiled only when it is compared: settings are parsed for every operation, and most patterns are never
/// compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob<'a> {
    /// A name without wildcards.
    Plain(Cow<'a, str>),
    /// A pattern with wildcards, which [`Pattern`] accepts.
    Wild(Cow<'a, str>),
}

impl<'a> Glob<'a> {
    /// Parses a pattern, or returns what is wrong with it.
    pub(crate) fn new(text: Cow<'a, str>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Plain(text));
        }
        if !is_surely_good(&text)
            && let Err(error) = Pattern::new(&text)
        {
            return Err(format!("{text:?} is not a valid pattern: {}", error.msg));
        }
        Ok(Self::Wild(text))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain == text,
            Self::Wild(wild) => match one_star(wild) {
                Some((before, after)) => {
                    let middle = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    middle.is_some_and(|middle| !middle.contains('/'))
                }
                None => Pattern::new(wild).is_ok_and(|pattern| pattern.matches_with(text, OPTIONS)),
            },
        }
    }

    /// The name that it matches, if it has no wildcards.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(plain) => Some(plain),
            Self::Wild(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Wild(text) => text,
        }
    }
}

/// Replaces each list of characters in a pattern by one character. `stand_in` gets the text between the brackets and returns that
/// character. As in the glob syntax, `]` as the first character does not end a list.
pub(crate) fn without_lists(mut text: &str, stand_in: impl Fn(&str) -> char) -> String {
    let mut without = String::with_capacity(text.len());
    while let Some((before, list)) = text.split_once('[') {
        let first = usize::from(list.starts_with('!'));
        let Some(length) = list[first..].chars().next().map(char::len_utf8) else { break };
        let Some(end) = list[first + length..].find(']').map(|end| first + length + end) else { break };
        without.push_str(before);
        without.push(stand_in(&list[..end]));
        text = &list[end + 1..];
    }
    without + text
}

/// Whether a pattern is valid for certain, so that it need not be compiled: `**` only as a whole part, and no list of characters.
fn is_surely_good(text: &str) -> bool {
    !text.contains('[') && text.split('/').all(|part| part == "**" || !part.contains("**"))
}

/// The text before and after the wildcard, if the pattern has exactly one, a `*`.
fn one_star(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_once('*')?;
    (!after.contains('*') && !text.contains(['?', '['])).then_some((before, after))
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
            ("a*b", "ab", true),
            ("ab*ba", "aba", false),
            ("a*/b", "a1/b", true),
            ("a*/b", "a1/2/b", false),
            ("A", "a", false),
        ] {
            assert_eq!(Glob::new(pattern.into()).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_accepted_can_be_taken_apart_and_one_star_is_what_the_library_makes_of_it() {
        let parts = ["a", "*", "**", "?", "/", "[a]", "[", "b*"];
        let texts = ["", "a", "b", "ab", "ba", "a/b", "aa/b", "bab", "b/a/b"];
        for first in parts {
            for second in parts {
                for third in parts {
                    let text = format!("{first}{second}{third}");
                    let Ok(glob) = Glob::new(text.as_str().into()) else {
                        assert!(Pattern::new(&text).is_err(), "{text}");
                        continue;
                    };
                    let pattern = Pattern::new(&text).unwrap();
                    for name in texts {
                        assert_eq!(glob.matches(name), pattern.matches_with(name, OPTIONS), "{text} {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_list_is_one_character() {
        for (pattern, expected) in [
            ("a", "a"),
            ("a[bc]d[!e]", "a?d?"),
            ("[]]a", "?a"),
            ("[!]]a", "?a"),
            ("[[]a[]x]", "?a?"),
            ("[é]b", "?b"),
            ("a[", "a["),
        ] {
            assert_eq!(without_lists(pattern, |_| '?'), expected, "{pattern}");
        }
    }

    #[test]
    fn what_isnt_a_pattern_is_told() {
        for pattern in ["", "[", "a[b", "***", "a**", "**b", "a/**b"] {
            assert!(Glob::new(pattern.into()).is_err(), "{pattern}");
        }
    }
}
