//! The output that a page promises, compared with what was printed.

/// Stands for any lines, also for none.
const ANY: &str = "...";

/// Lines of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(Vec<String>);

impl Expected {
    pub fn of(lines: &[String]) -> Self {
        Self(lines.to_vec())
    }

    /// Whether this was printed, but for what differs from run to run.
    pub fn matches(&self, printed: &[String]) -> bool {
        let masked = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| masked(line)).collect() };
        fits(&masked(&self.0), &masked(printed))
    }

    /// The promise as it stands if it was kept; else what was printed, with `...` where the promise has it: behind as many
    /// lines, and in front of as many.
    pub fn blessed(&self, printed: &[String]) -> Vec<String> {
        if self.matches(printed) {
            return self.0.clone();
        }
        let Some(first) = self.0.iter().position(|line| line == ANY) else { return printed.to_vec() };
        let last = self.0.iter().rev().position(|line| line == ANY).unwrap_or_default();
        if first + last >= printed.len() {
            return printed.to_vec();
        }
        let (head, tail) = (&printed[..first], &printed[printed.len() - last..]);
        [head, &[ANY.to_owned()], tail].concat()
    }
}

fn fits(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == ANY => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, below)| first == line && fits(rest, below))
        }
    }
}

/// A line without what differs from run to run: digests and ids, times, ages, and the width of the space around them.
pub fn masked(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let taken = if let Some(length) = time(rest) {
            text.push_str("TIME");
            length
        } else if next.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let word = &rest[..end];
            let is_hexadecimal = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            text.push_str(if is_hexadecimal { "HEX" } else { word });
            end
        } else {
            text.push(next);
            next.len_utf8()
        };
        rest = &rest[taken..];
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_age =
        |at: usize| words.get(at + 2) == Some(&"ago") && words[at].bytes().all(|byte| byte.is_ascii_digit());
    let word = |(at, word): (usize, &&str)| if is_age(at) { "N".to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// How long the time is with which this begins, such as `2026-11-27T21:06:55.123Z`.
fn time(text: &str) -> Option<usize> {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let fits = |(form, byte): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte };
    if bytes.len() < FORM.len() || !FORM.iter().zip(bytes).all(fits) {
        return None;
    }
    let rest = &text[FORM.len()..];
    Some(
        text.len()
            - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim_start_matches('Z').len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_differs_from_run_to_run_is_masked() {
        assert_eq!(masked("a  sha256:0123456789abcdef, \"0123456789ab\""), "a sha256:HEX, \"HEX\"");
        assert_eq!(masked("2026-11-27T21:06:55.123Z 0 list"), "TIME 0 list");
        assert_eq!(masked("app  1  3 years ago  9.38 kB"), "app 1 N years ago 9.38 kB");
        assert_eq!(masked("faceless words, 0123456789abcdefg"), "faceless words, 0123456789abcdefg");
    }

    #[test]
    fn dots_stand_for_any_lines() {
        let expected = |text: &str| Expected::of(&lines(text));
        assert!(expected("a\n...\nz").matches(&lines("a\nb\nc\nz")));
        assert!(expected("a\n...\nz").matches(&lines("a\nz")));
        assert!(expected("...").matches(&[]));
        assert!(!expected("a\n...\nz").matches(&lines("a\nb")));
        assert!(!expected("a").matches(&lines("a\nb")));
    }

    #[test]
    fn dots_stay_where_they_are() {
        let blessed = |expected: &str, printed: &str| Expected::of(&lines(expected)).blessed(&lines(printed));
        assert_eq!(blessed("a\n...\nz", "1\n2\n3\n4"), ["1", "...", "4"]);
        assert_eq!(blessed("...\nz", "1\n2"), ["...", "2"]);
        assert_eq!(blessed("a\n...\nz", "1\n2"), ["1", "2"]);
        assert_eq!(blessed("a", "1\n2"), ["1", "2"]);
    }
}
