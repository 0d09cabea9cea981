//! podman's arguments in units.

/// The values of an option among the arguments of a command.
pub(super) fn option<'a>(words: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(number, word)| match word.strip_prefix(name)? {
        "" => words.get(number + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

/// The source of an image mount: `type=image,source=NAME,destination=/path`. podman refuses invalid CSV.
pub(super) fn image_of_mount(mount: &str) -> Option<String> {
    let fields = fields(mount)?;
    let value = |keys: &[&str]| {
        let fields = fields.iter().rev().filter_map(|field| field.split_once('='));
        let mut found = fields.filter(|(key, _)| keys.contains(&key.trim()));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    value(&["source", "src"]).filter(|_| value(&["type"]).as_deref() == Some("image"))
}

/// The fields of a CSV line. In a quoted field, quotes are doubled; other fields must not have quotes.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => closed(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if !rest.starts_with('"') && field.contains('"') {
            return None;
        }
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// The contents of a quoted field, and the text after its closing quote.
fn closed(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (text, after) = rest.split_once('"')?;
        field.push_str(text);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_line_of_csv() {
        for (mount, image) in [
            ("type=image,source=quay.io/a:1,destination=/x", Some("quay.io/a:1")),
            ("type=image,\"source=quay.io/a:1\",destination=/x", Some("quay.io/a:1")),
            ("\"type=image\",destination=\"/x\",src=a", None),
            ("type=image,\"destination=/x,\"\"y\"\"\",src=a", Some("a")),
            ("type=image,src=a,src=b", Some("b")),
            ("type=bind,src=/a", None),
            ("type=image,\"src=a", None),
            ("type=image,\"src=a\"b", None),
        ] {
            assert_eq!(image_of_mount(mount).as_deref(), image, "{mount}");
        }
    }
}
