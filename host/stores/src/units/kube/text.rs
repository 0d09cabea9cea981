//! Finds the images in a YAML text: the values of all keys `image` and, for image volumes, `reference`, at any place, so that it finds
//! too many rather than too few. The YAML is not parsed, so that no YAML feature can hide an image.

/// The keys whose values name images. podman ignores the case of keys.
const KEYS: [&str; 2] = ["image", "reference"];
/// The line breaks of YAML.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
/// The characters of a name besides letters and digits.
const IN_NAMES: &str = "._/:@-+[]";

/// The value of a key.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Name(String),
    /// No name: empty, or a list or map with its own keys.
    None,
    /// The value would be on the next line that is not empty.
    Below,
    /// A block, an alias, or a text that is not a name in this form.
    Unknown,
}

/// The images in a text, or the number of a line whose image cannot be determined.
pub(super) fn images(text: &str) -> Result<Vec<String>, usize> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.split(BREAKS).map(uncommented).collect();
    let mut images = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let below = lines[number + 1..].iter().map(|line| line.trim()).find(|line| !line.is_empty());
        for rest in behind_keys(line) {
            let value = match rest.trim_start().strip_prefix(':') {
                Some(rest) => value(rest),
                // The colon may stand on the next line.
                None if is_nothing(rest) && below.is_some_and(|line| line.starts_with(':')) => Value::Unknown,
                None => Value::None,
            };
            let value = match (value, below) {
                (Value::Below, Some(line)) if !is_entry(line) => self::value(line),
                (Value::Below, _) => Value::None,
                (value, _) => value,
            };
            match value {
                Value::Name(name) => images.push(name),
                Value::None => {}
                Value::Below | Value::Unknown => return Err(number + 1),
            }
        }
    }
    Ok(images)
}

/// Removes the comment of a line, unless the line has quotes, because the `#` may be inside them.
fn uncommented(line: &str) -> &str {
    let starts = |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = line.match_indices('#').find(starts).map(|(at, _)| at);
    match comment {
        Some(at) if line[..at].trim().is_empty() || !line.contains(['"', '\'']) => &line[..at],
        _ => line,
    }
}

/// The text after each word in a line that may be one of the keys.
fn behind_keys(line: &str) -> impl Iterator<Item = &str> {
    let small = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for key in KEYS {
        for (start, _) in small.match_indices(key) {
            let before = line[..start].chars().next_back();
            let begins = before.is_none_or(|before| !before.is_alphanumeric() && !"_-./@".contains(before));
            let rest = &line[start + key.len()..];
            let quoted = rest.strip_prefix(['"', '\'']);
            let rest = quoted.unwrap_or(rest);
            // Without quotes it is a key only if whitespace follows its colon.
            let after = rest.trim_start().strip_prefix(':').filter(|_| quoted.is_none());
            if begins && after.is_none_or(|after| after.is_empty() || after.starts_with(char::is_whitespace))
            {
                found.push(rest);
            }
        }
    }
    found.into_iter()
}

/// Whether only a comment follows in a line.
fn is_nothing(rest: &str) -> bool {
    rest.trim().is_empty() || rest.trim_start().starts_with('#')
}

fn value(text: &str) -> Value {
    let text = text.trim();
    let Some(first) = text.chars().next() else { return Value::Below };
    match first {
        '#' => Value::Below,
        '{' | '[' | '}' | ']' | ',' => Value::None,
        // `&name value`
        '&' => value(text.split_once(char::is_whitespace).map_or("", |(_, value)| value)),
        '"' => quoted(&text[1..]),
        '\'' => match text[1..].split_once('\'') {
            Some((name, after)) if !after.starts_with('\'') => named(name),
            _ => Value::Unknown,
        },
        _ => {
            let end = text.find(|one: char| one.is_whitespace() || ",}]\"'".contains(one));
            named(&text[..end.unwrap_or(text.len())])
        }
    }
}

/// A text in double quotes. The only supported escape is `\/`, because names need no others.
fn quoted(text: &str) -> Value {
    let mut name = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next() {
            Some('"') => return named(&name),
            Some('\\') if rest.next() == Some('/') => name.push('/'),
            None | Some('\\') => return Value::Unknown,
            Some(other) => name.push(other),
        }
    }
}

fn named(name: &str) -> Value {
    match name {
        "" | "null" | "Null" | "NULL" | "~" => Value::None,
        name if name.chars().all(|one| one.is_ascii_alphanumeric() || IN_NAMES.contains(one)) => {
            Value::Name(name.to_owned())
        }
        _ => Value::Unknown,
    }
}

/// Whether a line begins an entry of a list or map, or a new document: then the key above it has no value.
fn is_entry(line: &str) -> bool {
    if line == "-" || line.starts_with("- ") || line.starts_with("---") || line.starts_with("...") {
        return true;
    }
    let key = line.split_once(": ").map(|(key, _)| key).or_else(|| line.strip_suffix(':'));
    key.is_some_and(|key| {
        let quote = key.chars().next().filter(|first| matches!(first, '"' | '\''));
        let is_closed = quote.is_none_or(|quote| key.len() > 1 && key.ends_with(quote));
        is_closed && !key.contains(',') && !key.contains(" #")
    })
}

#[cfg(test)]
mod tests {
    use super::images;

    #[test]
    fn images_are_found_however_they_are_written() {
        for (text, expected) in [
            ("spec:\n  containers:\n  - name: a\n    image: quay.io/a:1\n", vec!["quay.io/a:1"]),
            ("- image: \"quay.io/a:1\" # words\n", vec!["quay.io/a:1"]),
            (
                "containers: [{name: a, image: quay.io/a:1}, {\"image\": 'quay.io/b'}]",
                vec!["quay.io/a:1", "quay.io/b"],
            ),
            ("{\"image\":\"quay.io/a\",\"x\":1}", vec!["quay.io/a"]),
            ("volumes:\n- image:\n    reference: quay.io/v:1\n", vec!["quay.io/v:1"]),
            ("- image: &base quay.io/a\n", vec!["quay.io/a"]),
            ("# image: quay.io/a\nimagePullPolicy: Never\nmyimage: x\nsite/image: y\n", vec![]),
            ("  - a: b # the image: $X\n", vec![]),
            ("- Image: quay.io/a:1\r\n  Reference: b\r\n", vec!["quay.io/a:1", "b"]),
            // The value may stand below its key.
            ("  - name: a\n    image:\n      quay.io/a:1\n", vec!["quay.io/a:1"]),
            ("- image: # words\n\n    # more: words\n    \"quay.io/a:1\"\n  name: a\n", vec!["quay.io/a:1"]),
            ("{\"image\":\n\"quay.io/a:1\", \"name\": \"x\"}", vec!["quay.io/a:1"]),
            ("{image:\nquay.io/a:1, name: x}", vec!["quay.io/a:1"]),
            ("- image:\n  name: a\n- image:\n- image:\n", vec![]),
            ("- image:\n  \"name\": a\n- image: null\n- image: ''\n- image: &base\n", vec![]),
            // A `#` does not always begin a comment.
            (
                "{\"metadata\":{\"annotations\":{\"note\":\"see issue #12\"}},\"spec\":{\"containers\":[{\"image\":\"quay.io/a:1\"}]}}",
                vec!["quay.io/a:1"],
            ),
            ("- {args: [\"--title\", \"x #1\"], image: quay.io/a:1}\n", vec!["quay.io/a:1"]),
            ("{\"image\":\"quay.io\\/a:1\"}", vec!["quay.io/a:1"]),
            ("- image: \"[::1]:5000/a\"\n- image\n- name: image\n", vec!["[::1]:5000/a"]),
        ] {
            assert_eq!(images(text), Ok(expected.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn an_image_that_isnt_written_in_one_place_is_an_error() {
        for text in [
            "- image: >-\n    quay.io/a\n",
            "- image: *base\n",
            "- image: !!binary cXVheS5pby9hOjE=\n",
            "- image: \"quay.io/team/\\\n    a:1\"\n",
            "- image: 'quay.io/team\n    a'\n",
            "- image: \"quay.io\\x2fa\"\n",
            "- image: quay.io/a:${TAG}\n",
            "? image\n: quay.io/a:1\n",
            "? \"image\" # words\n# words\n: quay.io/a:1\n",
            "{\"image\"\n: \"quay.io/a:1\"}",
            "- image:\n    |\n    quay.io/a:1\n",
            "- image: &base\n    *other\n",
        ] {
            assert_eq!(images(text), Err(1), "{text}");
        }
    }
}
