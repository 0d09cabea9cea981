//! Parses unit files by Quadlet's rules: continued lines with comments between them, quotes, repeated groups.

use std::io;

use rustix::io::Errno;

/// The maximum size of a unit, and of a Kubernetes file that it names.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// Whether an error means that a path does not exist, as for Quadlet: no file, a file in place of a directory, or a loop of links.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// The lines of a unit and its drop-ins, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitFile(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    group: String,
    key: String,
    value: String,
}

/// A text is not a valid unit, so Quadlet ignores it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAUnit;

impl UnitFile {
    /// Parses a unit.
    ///
    /// # Errors
    /// [`NotAUnit`] if a line is neither a group, a key with a value, nor a comment, or if a key is before the first group.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAUnit> {
        let mut lines = Vec::new();
        let mut group: Option<String> = None;
        let mut continued = String::new();
        let mut rest = text.strip_suffix('\n').unwrap_or(text).split('\n').peekable();
        while let Some(line) = rest.next() {
            let line = line.trim();
            let is_comment = line.is_empty() || line.starts_with(['#', ';']);
            if is_comment {
                continue;
            }
            let line = match line.strip_suffix('\\') {
                Some(beginning) if rest.peek().is_some() => {
                    continued.push_str(beginning);
                    continue;
                }
                Some(beginning) => beginning,
                None => line,
            };
            let line = std::mem::take(&mut continued) + line;
            if let Some(name) = group_name(&line) {
                group = Some(name.to_owned());
            } else {
                let (key, value) = line.split_once('=').ok_or(NotAUnit)?;
                let (key, group) = (key.trim_end(), group.clone().ok_or(NotAUnit)?);
                if key.is_empty() || key.starts_with(' ') {
                    return Err(NotAUnit);
                }
                lines.push(Line { group, key: key.to_owned(), value: value.trim_start().to_owned() });
            }
        }
        Ok(Self(lines))
    }

    /// Appends a drop-in, whose values come later and so have precedence.
    pub(crate) fn append(&mut self, drop_in: Self) {
        self.0.extend(drop_in.0);
    }

    fn values<'a>(&'a self, group: &'a str, key: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        let lines = self.0.iter().filter(move |line| line.group == group && line.key == key);
        lines.map(|line| line.value.trim_end())
    }

    /// The value of a key with a single value: the last one, without quotes around it.
    pub(crate) fn last(&self, group: &str, key: &str) -> Option<String> {
        self.values(group, key).next_back().map(|value| value.trim_matches('"').to_owned())
    }

    /// The values of a key that may have several: an empty one resets the list.
    pub(crate) fn all(&self, group: &str, key: &str) -> Vec<String> {
        let mut all = Vec::new();
        for value in self.values(group, key) {
            if value.is_empty() {
                all.clear();
            } else {
                all.push(value.to_owned());
            }
        }
        all
    }

    /// The words in all values of a key, as systemd splits them.
    pub(crate) fn words(&self, group: &str, key: &str) -> Vec<String> {
        self.all(group, key).iter().flat_map(|value| split(value)).collect()
    }
}

/// The name in `[Name]`, which only whitespace may follow.
fn group_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    Some(name).filter(|name| rest.trim().is_empty() && !name.is_empty() && !name.contains('['))
}

/// Splits a text into words at whitespace; quotes keep whitespace, and a backslash escapes the next character.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match (character, quote) {
            (character, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('\\', _) => word.get_or_insert_default().extend(rest.next()),
            (character, None) if character.is_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_quadlet_reads_them() {
        let text = "# words\n; words\n[A] \n k = 1 \\\n  2 \\\n# no\n\n 3\nlast=x\\";
        let unit = UnitFile::parse(text).unwrap();
        assert_eq!(unit.last("A", "k").as_deref(), Some("1 2 3"));
        assert_eq!(unit.last("A", "last").as_deref(), Some("x"));
        for bad in ["k=1", "[A]\nnonsense", "[A]\n=1", "[]\nk=1", "[A\nk=1", "[A] x\n"] {
            assert_eq!(UnitFile::parse(bad), Err(NotAUnit), "{bad}");
        }
        assert_eq!(UnitFile::parse(""), Ok(UnitFile::default()));
    }

    #[test]
    fn an_empty_value_takes_back_those_before_it() {
        let unit = UnitFile::parse("[A]\nk=1\nk=2\nk=\nk=3\nk=\"4 5\"\n").unwrap();
        assert_eq!(unit.all("A", "k"), ["3", "\"4 5\""]);
        assert_eq!(unit.words("A", "k"), ["3", "4 5"]);
        assert_eq!(unit.last("A", "k").as_deref(), Some("4 5"));
        assert_eq!(unit.last("B", "k"), None);
    }

    #[test]
    fn words_are_split_as_systemd_splits_them() {
        for (text, words) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            ("\"a b\" 'c \"d'", vec!["a b", "c \"d"]),
            ("a\\ b \"c\\\"d\" ''", vec!["a b", "c\"d", ""]),
            ("x\"y z\"", vec!["xy z"]),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }
}
