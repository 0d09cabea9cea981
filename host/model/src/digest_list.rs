//! Long lists of digests in settings. They are cut out of a configuration file before it is parsed, and searched by the host: parsing
//! some thousand texts, and passing them to a plugin, would take longer than the rest of a verdict
//! (docs/adr/0022-configuration-files.md).

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

/// Shorter files are parsed as they are.
const SHORTEST_FILE: usize = 8 << 10;
/// Shorter lists stay what they are.
const SHORTEST_LIST: usize = 64;
/// What every digest of a list begins with.
const ALGORITHM: &str = "sha256:";
/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;
/// A digest with its quotation marks.
const QUOTED: usize = DIGITS + ALGORITHM.len() + 2;
/// Bytes of JSON that are written at a time.
const PIECE: usize = 4 << 10;
/// What the text begins with that stands for a list in a shortened file. No text in such a file begins with NUL.
const MARK: char = '\0';

/// At least 64 digests `sha256:...`, all of them valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestList {
    /// The hexadecimal digits of all, without separators.
    digits: Arc<Vec<u8>>,
}

impl DigestList {
    /// The number of digests.
    pub fn count(&self) -> usize {
        self.digits.len() / DIGITS
    }

    /// Whether the list has this digest, as text.
    pub fn contains(&self, digest: &str) -> bool {
        let digits = digest.strip_prefix(ALGORITHM).filter(|digits| digits.len() == DIGITS);
        digits.is_some_and(|digits| self.digits.chunks_exact(DIGITS).any(|one| one == digits.as_bytes()))
    }

    /// Whether these values are the same digests in the same order.
    pub fn is_same_as(&self, values: &[Value]) -> bool {
        let is = |(digits, value): (&[u8], &Value)| {
            let text = value.as_str().and_then(|text| text.strip_prefix(ALGORITHM));
            text.is_some_and(|text| text.as_bytes() == digits)
        };
        values.len() == self.count() && self.digits.chunks_exact(DIGITS).zip(values).all(is)
    }

    /// The length of the list as JSON.
    pub fn json_length(&self) -> usize {
        self.count() * (QUOTED + 1) + 1
    }

    /// Writes the list as JSON, in pieces.
    pub fn write_json(&self, write: &mut dyn FnMut(&str)) {
        let mut piece = String::with_capacity(PIECE + 2 * QUOTED);
        for (number, digits) in self.digits.chunks_exact(DIGITS).enumerate() {
            piece.push_str(if number == 0 { "[\"" } else { ",\"" });
            piece.push_str(ALGORITHM);
            piece.push_str(std::str::from_utf8(digits).unwrap_or_default());
            piece.push('"');
            if piece.len() >= PIECE {
                write(&piece);
                piece.clear();
            }
        }
        piece.push(']');
        write(&piece);
    }
}

/// A TOML file without its long lists of digests. Each is replaced by a text, which [`Shortened::list`] recognizes.
#[derive(Debug)]
pub struct Shortened {
    /// The shortened file.
    pub text: String,
    lists: Vec<DigestList>,
}

impl Shortened {
    /// Cuts the lists out. None if there is nothing to cut out, or if the file has something that makes this unsafe, such as a text of
    /// several lines.
    pub fn of(text: &str) -> Option<Self> {
        if text.len() < SHORTEST_FILE {
            return None;
        }
        let bytes = text.as_bytes();
        let mut shortened = Self { text: String::new(), lists: Vec::new() };
        let (mut at, mut copied) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            at = match byte {
                b'#' => end_of_line(bytes, at),
                b'"' | b'\'' => end_of_text(bytes, at)?,
                b'[' if is_value(bytes, at) => match list(bytes, at) {
                    Some((end, list)) => {
                        shortened.text.push_str(text.get(copied..at)?);
                        let _ = write!(shortened.text, "\"\\u0000{}\"", shortened.lists.len());
                        shortened.lists.push(list);
                        copied = end;
                        end
                    }
                    None => at + 1,
                },
                _ => at + 1,
            };
        }
        shortened.text.push_str(text.get(copied..)?);
        (!shortened.lists.is_empty()).then_some(shortened)
    }

    /// The number of lists that were cut out.
    pub fn count(&self) -> usize {
        self.lists.len()
    }

    /// The list for which this text stands.
    pub fn list(&self, text: &str) -> Option<&DigestList> {
        self.lists.get(text.strip_prefix(MARK)?.parse::<usize>().ok()?)
    }
}

/// Whether a value begins here. In the place of anything else, a text could be valid where a list is not.
fn is_value(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'=')
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// The end of a comment that is cut out together with its list; none if it has a character that no comment can
/// have.
fn end_of_comment(bytes: &[u8], from: usize) -> Option<usize> {
    let end = end_of_line(bytes, from);
    let comment = bytes.get(from..end)?;
    let comment = comment.strip_suffix(b"\r").unwrap_or(comment);
    let is_allowed = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    comment.iter().all(is_allowed).then_some(end)
}

/// The end of a text of one line; none for any other, and for one that could contain NUL.
fn end_of_text(bytes: &[u8], from: usize) -> Option<usize> {
    let quote = *bytes.get(from)?;
    if bytes.get(from..from + 3).is_some_and(|start| start.iter().all(|byte| *byte == quote)) {
        return None;
    }
    let mut at = from + 1;
    loop {
        at += match *bytes.get(at)? {
            byte if byte == quote => return Some(at + 1),
            b'\n' => return None,
            b'\\' if quote == b'"' => {
                let escape = bytes.get(at + 1..)?;
                if [&b"u0000"[..], b"U00000000", b"x00"].iter().any(|nul| escape.starts_with(nul)) {
                    return None;
                }
                2
            }
            _ => 1,
        };
    }
}

/// The list of digests that begins here, and its end.
fn list(bytes: &[u8], from: usize) -> Option<(usize, DigestList)> {
    let mut digits = Vec::new();
    let (mut at, mut expects_one) = (from + 1, true);
    loop {
        match *bytes.get(at)? {
            b' ' | b'\t' | b'\n' => at += 1,
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            b'#' => at = end_of_comment(bytes, at)?,
            b',' if !expects_one => (at, expects_one) = (at + 1, true),
            b']' if digits.len() >= SHORTEST_LIST * DIGITS => {
                // Room was reserved for the rest of the file.
                digits.shrink_to_fit();
                return Some((at + 1, DigestList { digits: Arc::new(digits) }));
            }
            quote @ (b'"' | b'\'') if expects_one => {
                let one = bytes.get(at + 1..at + QUOTED)?.strip_prefix(ALGORITHM.as_bytes())?;
                let (hex, end) = one.split_at_checked(DIGITS)?;
                // Without an early exit, so that the compiler can compare many at once.
                let is_hex = |byte: &u8| byte.is_ascii_digit() | (b'a'..=b'f').contains(byte);
                if end != [quote] || !hex.iter().fold(true, |all, byte| all & is_hex(byte)) {
                    return None;
                }
                if digits.is_empty() {
                    digits.reserve((bytes.len() - at) / QUOTED * DIGITS);
                }
                digits.extend_from_slice(hex);
                (at, expects_one) = (at + QUOTED, false);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> String {
        format!("sha256:{number:064x}")
    }

    fn digests(count: usize, separator: &str) -> String {
        let all: Vec<String> = (0..count).map(|number| format!("\"{}\"", digest(number))).collect();
        format!("[\n{separator}{}{separator}]", all.join(&format!(",{separator}")))
    }

    #[test]
    fn a_long_list_is_cut_out_and_is_the_same_as_json() {
        for separator in ["", " ", "\n", "\r\n\t", " # a ] and \" in\ta comm\u{e9}nt\r\n"] {
            let text = format!("a = \"# [\\\" x\" # '\nlist = {}\nb = 1\n", digests(200, separator));
            let shortened = Shortened::of(&text).unwrap();
            assert_eq!(shortened.text, "a = \"# [\\\" x\" # '\nlist = \"\\u00000\"\nb = 1\n");
            let list = shortened.list("\u{0}0").unwrap();
            assert_eq!(list.count(), 200);
            assert!(list.contains(&digest(0)) && list.contains(&digest(199)) && !list.contains(&digest(200)));
            assert!(
                !list.contains(&digest(1)[7..])
                    && !list.contains("")
                    && !list.contains(&digest(1).to_uppercase())
            );
            let mut json = String::new();
            list.write_json(&mut |piece| json.push_str(piece));
            let all: Vec<String> = (0..200).map(digest).collect();
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), all);
            assert_eq!(list.json_length(), json.len());
        }
    }

    #[test]
    fn lists_take_no_more_room_than_their_file() {
        let lists = (0..50).map(|number| format!("list{number} = {}\n", digests(64, "")));
        let text: String = lists.collect();
        let shortened = Shortened::of(&text).unwrap();
        assert_eq!(shortened.count(), 50);
        let room = shortened.lists.iter().map(|list| list.digits.capacity());
        assert!(room.sum::<usize>() <= text.len());
    }

    #[test]
    fn what_is_no_plain_list_of_digests_is_left_to_the_parser() {
        let long = digests(200, "\n");
        for text in [
            long.replace(&digest(7), &digest(7).to_uppercase()),
            long.replace(&digest(7), "sha256:*"),
            long.replace(&digest(7), "sha512:7"),
            long.replace(&format!("\"{}\"", digest(7)), "7"),
            long.replace(&format!("\"{}\"", digest(7)), &format!("\"{}'", digest(7))),
            long.replacen(',', "", 1),
            long.replacen(',', ",,", 1),
            long.replacen(']', "", 1),
            digests(63, &" ".repeat(200)),
            // A text would be valid here, or a part of the text around it.
            format!("\"\"{long}\"\""),
            format!("''{long}''"),
            format!("[{long}]"),
            format!("1\n{long}"),
            // What no comment can have.
            digests(200, " # \r x\n"),
            digests(200, " # \u{1}\n"),
            digests(200, " # \u{7f}\r\n"),
        ] {
            assert!(Shortened::of(&format!("list = {text}\n")).is_none(), "{text}");
        }
        assert!(Shortened::of(&format!("{long} = 1\n")).is_none(), "a key");
        assert!(Shortened::of(&format!("# list =\n{long}\n")).is_none(), "a table");
        // In a text of several lines, or beside a text that could look like a mark, nothing is cut out.
        for before in [
            "a = \"\"\"\n\"\"\"",
            "a = '''\n'''",
            "a = \"\\u00000\"",
            "a = \"\\U000000000\"",
            "a = \"\\x000\"",
        ] {
            assert!(Shortened::of(&format!("{before}\nlist = {long}\n")).is_none(), "{before}");
        }
        assert!(Shortened::of(&format!("list = {}\n", digests(64, ""))).is_none(), "short files are parsed");
    }
}
