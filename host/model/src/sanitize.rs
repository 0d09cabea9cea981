//! Sanitizes the text of plugins: a terminal must not obey control sequences in it, and a reader must see exactly the characters
//! that it contains.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar as _;

/// The longest text that is kept, in characters, which is more than any sentence needs.
const LONGEST: usize = 4096;

/// Replaces characters that are removed.
const REPLACEMENT: char = '\u{fffd}';

/// The most combining characters in a row. Some scripts need two.
const MOST_MARKS: usize = 2;

/// Converts a text to one sanitized line. Clean text is returned unchanged.
///
/// - Line breaks, tabs and other white space become a space, and several spaces become one. With many spaces, part of the text could
///   be moved to the start of a line of the terminal and look like a message of the host.
/// - Other control characters (including C1), characters that reorder text or are invisible, and the third and following of several
///   combining characters become U+FFFD.
/// - A text of more than 4,096 characters is cut and ends with an ellipsis.
pub fn sanitize(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut blank, mut marks) = (false, MOST_MARKS);
    for c in shown(text).chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        match c {
            ' ' if blank => continue,
            // All combining characters beyond the allowed ones become a single U+FFFD.
            _ if marks > MOST_MARKS => {
                if !clean.ends_with(REPLACEMENT) {
                    clean.push(REPLACEMENT);
                }
            }
            _ => clean.push(c),
        }
        blank = c == ' ';
    }
    clean
}

/// Like [`sanitize`], for text of several lines that the host has laid out: line breaks and spaces are kept.
pub fn lines(text: &str) -> String {
    text.lines().flat_map(|line| [shown(line), "\n".to_owned()]).collect()
}

/// Whether [`sanitize`] would return the text unchanged.
pub fn is_clean(text: &str) -> bool {
    sanitize(text) == text
}

/// Replaces single characters and cuts the text.
fn shown(text: &str) -> String {
    let mut clean: String = text.chars().take(LONGEST).map(harmless).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// Writes to a terminal and replaces the characters that [`sanitize`] replaces, except newlines and tabs, and bytes that are not
/// UTF-8. Escape sequences for color and other styles of text (SGR) are kept if `color` is set; the style is reset at the end.
pub struct ForTerminal<W> {
    out: W,
    color: bool,
    /// The beginning of a character or escape sequence whose end has not been written yet.
    unfinished: Vec<u8>,
}

impl<W: Write> ForTerminal<W> {
    /// Creates a filter that writes to `out`.
    pub fn new(out: W, color: bool) -> Self {
        Self { out, color, unfinished: Vec::new() }
    }

    /// Ends the output.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.unfinished.is_empty() {
            let rest = self.unfinished.iter().filter(|byte| byte.is_ascii_graphic());
            let rest: String = rest.map(|&byte| char::from(byte)).collect();
            write!(self.out, "{REPLACEMENT}{rest}")?;
        }
        if self.color {
            self.out.write_all(RESET)?;
        }
        self.out.flush()
    }
}

/// Resets the style of text.
const RESET: &[u8] = b"\x1b[0m";
/// The longest escape sequence that is accepted, in bytes.
const LONGEST_STYLE: usize = 32;

/// Whether a text begins with an SGR escape sequence: ESC, `[`, digits and separators, `m`.
enum Style {
    /// A complete sequence, of this many bytes.
    Whole(usize),
    /// The beginning of a sequence.
    Begun,
    /// No sequence.
    None,
}

impl Style {
    fn of(text: &str) -> Self {
        let parameters = match text.as_bytes() {
            [0x1b] => return Self::Begun,
            [0x1b, b'[', parameters @ ..] => parameters,
            _ => return Self::None,
        };
        match parameters.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':')) {
            Some(end) if parameters.get(end) == Some(&b'm') && end < LONGEST_STYLE => Self::Whole(end + 3),
            None if parameters.len() < LONGEST_STYLE => Self::Begun,
            _ => Self::None,
        }
    }
}

impl<W: Write> Write for ForTerminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.unfinished);
        all.extend_from_slice(bytes);
        let mut shown = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let is_last = chunks.peek().is_none();
            let mut text = chunk.valid();
            while let Some(c) = text.chars().next() {
                let style = if self.color { Style::of(text) } else { Style::None };
                let length = match style {
                    Style::Whole(length) => {
                        shown.push_str(text.get(..length).unwrap_or_default());
                        length
                    }
                    Style::Begun if is_last && chunk.invalid().is_empty() => break,
                    Style::Begun | Style::None => {
                        shown.push(if matches!(c, '\n' | '\t') { c } else { harmless(c) });
                        c.len_utf8()
                    }
                };
                text = text.get(length..).unwrap_or_default();
            }
            let invalid = chunk.invalid();
            // Only the beginning of a character or of a sequence is kept for the next write.
            let is_begun =
                is_last && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if !text.is_empty() {
                self.unfinished = text.as_bytes().to_vec();
            } else if is_begun {
                self.unfinished = invalid.to_vec();
            } else if !invalid.is_empty() {
                shown.push(REPLACEMENT);
            }
        }
        self.out.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn harmless(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() || is_invisible(c) => REPLACEMENT,
        c => c,
    }
}

/// Characters that are invisible or change the order of others: Unicode's format characters (Cf, including bidi controls) and its
/// ignorable code points, including fillers and variation selectors. Joiners are included too: sentences do not need them, and a
/// name that contains one can look like another name.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{8e2}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
        | '\u{600}'..='\u{605}' | '\u{890}'..='\u{891}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_terminal_gets_text_with_newlines_and_tabs_however_it_is_cut() {
        let text = "a\tb\u{1b}[2J\r\n\u{202e}漢\u{9b}é".as_bytes().iter().chain(b"\xff!\xe6\xbc").copied();
        let text: Vec<u8> = text.collect();
        for size in 1..=text.len() {
            let mut out = Vec::new();
            let mut terminal = ForTerminal::new(&mut out, false);
            for piece in text.chunks(size) {
                terminal.write_all(piece).unwrap();
            }
            terminal.finish().unwrap();
            let shown = String::from_utf8(out).unwrap();
            assert_eq!(shown, "a\tb\u{fffd}[2J \n\u{fffd}漢\u{fffd}é\u{fffd}!\u{fffd}", "{size}");
        }
    }

    #[test]
    fn a_terminal_gets_colour_if_that_is_wanted_and_nothing_else() {
        let text =
            "a\u{1b}[1;38:5:9mred\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}[99999999999999999999999999999999999m\u{1b}[3";
        for size in 1..=text.len() {
            let mut out = Vec::new();
            let mut terminal = ForTerminal::new(&mut out, true);
            for piece in text.as_bytes().chunks(size) {
                terminal.write_all(piece).unwrap();
            }
            terminal.finish().unwrap();
            let shown = String::from_utf8(out).unwrap();
            let (colour, rest) = shown.split_at("a\u{1b}[1;38:5:9mred".len());
            assert_eq!(colour, "a\u{1b}[1;38:5:9mred", "{size}");
            let rest = rest.strip_suffix("\u{1b}[0m").unwrap();
            assert!(!rest.contains(['\u{1b}', '\u{7}']), "{size}: {rest:?}");
            assert!(rest.ends_with("\u{fffd}[3"), "{size}: {rest:?}");
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in
            ["", "no such image: quay.io/a/b:1", "Größe, 大きさ, حجم, ελληνικά", "a `b` \"c\" \\ 'd' 🦀"]
        {
            assert_eq!(sanitize(text), text);
            assert!(is_clean(text));
        }
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(sanitize("\u{1b}[2J\u{7}\u{9b}31mred\u{7f}"), "\u{fffd}[2J\u{fffd}\u{fffd}31mred\u{fffd}");
        assert_eq!(sanitize("one\r\ntwo\tthree\u{2028}four"), "one two three four");
    }

    #[test]
    fn reordering_and_invisible_characters_show() {
        for c in [
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{200d}",
            "\u{ad}",
            "\u{feff}",
            "\u{e0041}",
            "\u{3164}",
            "\u{fe0f}",
        ] {
            assert_eq!(sanitize(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
            assert!(!is_clean(c));
        }
    }

    /// Eighty columns of white space would move the rest to the start of a line.
    #[test]
    fn text_is_not_moved_about_with_blanks() {
        for blank in [" ", "\t", "\n", "\u{a0}", "\u{2003}", "\u{3000}", "\u{1680}", " \u{2009}"] {
            let text = format!("no{}allowed by every policy", blank.repeat(80));
            assert_eq!(sanitize(&text), "no allowed by every policy", "{blank:?}");
        }
        assert_eq!(lines("NAME   WHY\n"), "NAME   WHY\n");
    }

    #[test]
    fn marks_cover_nothing() {
        assert_eq!(sanitize("e\u{301}\u{323} ok"), "e\u{301}\u{323} ok");
        assert_eq!(sanitize(&format!("a{} b", "\u{338}".repeat(40))), "a\u{338}\u{338}\u{fffd} b");
        assert_eq!(sanitize("\u{338}denied"), "\u{fffd}denied");
    }

    #[test]
    fn long_text_is_cut() {
        let clean = sanitize(&"é".repeat(5000));
        assert_eq!(clean.chars().count(), LONGEST);
        assert!(clean.ends_with("é…"));
        assert_eq!(sanitize(&"x".repeat(LONGEST)).len(), LONGEST);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_clean(text in any::<String>()) {
            let clean = sanitize(&text);
            prop_assert!(is_clean(&clean));
            prop_assert!(!clean.chars().any(char::is_control));
        }

        #[test]
        fn visible_ascii_is_never_touched(text in "([!-~]+ ?){0,50}") {
            prop_assert_eq!(sanitize(&text), text);
        }

        #[test]
        fn doing_it_again_changes_nothing(text in any::<String>()) {
            let once = sanitize(&text);
            prop_assert_eq!(sanitize(&once), once);
        }
    }
}
