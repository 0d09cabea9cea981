//! Patterns of names, compared by the host itself: each is one that takes no time.

use std::fmt;

use bootc_image_grammar::weakened::is_off;
use glob::MatchOptions;

/// `*` stays within a part of a name, `**` doesn't.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern such as `quay.io/example/*`, `quay.io/**` or `cmd *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// Why it isn't one, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern =
            glob::Pattern::new(text).map_err(|error| format!("{text:?} isn't a pattern: {}", error.msg))?;
        quickly_compared(text)?;
        Ok(Self(pattern))
    }

    /// Whether all of `name` is like this.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches_with(name, OPTIONS)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no limit on the time that comparing takes.
fn quickly_compared(text: &str) -> Result<(), String> {
    // A class may hold the `/` that the parts below would be told apart by, and never match one.
    if text.contains('[') && !is_off("patterns") {
        return Err(format!("{text:?} has a `[`, which patterns here can't have"));
    }
    let (crossing, others): (Vec<&str>, Vec<&str>) = text.split('/').partition(|part| *part == "**");
    if crossing.len() <= 2 && others.iter().all(|part| part.matches('*').count() <= 1) {
        Ok(())
    } else {
        Err(format!("{text:?} has more than one `*` in a part, or more than two `**`"))
    }
}
