//! Parses `[section]` and `key=value` text: ostree's origin files, and systemd and Quadlet units.

/// The value of `key` in `[section]`; the last one counts. Comments begin a line with `#` or `;`.
pub(super) fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut current = "";
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = name;
        } else if let Some((name, value)) = line.split_once('=')
            && current == section
            && name.trim_end() == key
        {
            found = Some(value.trim_start());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn finds_the_last_value_of_the_right_section() {
        let text = "[A]\nk=0\n[B]\n# k=1\n;k=2\n k = 3 4 \nk=5=6\nkk=7\n[C]\nk=8\n";
        assert_eq!(value(text, "B", "k"), Some("5=6"));
        assert_eq!(value(text, "A", "k"), Some("0"));
        assert_eq!(value(text, "B", "none"), None);
        assert_eq!(value("k=1", "", "k"), Some("1"));
        assert_eq!(value("[B\nk=1", "B", "k"), None);
    }
}
