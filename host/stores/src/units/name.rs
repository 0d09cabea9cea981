//! Names of images and files in units, of which systemd may expand parts when it starts the unit.

/// An image as a unit names it. Parts that systemd expands when it starts the unit are unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageName {
    /// The complete name.
    Known(String),
    /// The parts of the name between those that systemd expands: at least two, of which some may be empty.
    Partly(Vec<String>),
}

impl ImageName {
    /// Parses a value, in which `%%` is a percent sign, `$$` a dollar sign, and `%i`, `$NAME` and `${NAME}` are expanded by systemd.
    pub fn new(value: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut rest = value.chars().peekable();
        while let Some(character) = rest.next() {
            let is_doubled = matches!(character, '%' | '$') && rest.peek() == Some(&character);
            match character {
                '%' | '$' if is_doubled => {
                    rest.next();
                    push(&mut parts, character);
                }
                '%' => {
                    rest.next();
                    parts.push(String::new());
                }
                '$' if rest.peek() == Some(&'{') => {
                    rest.by_ref().take_while(|&inside| inside != '}').for_each(drop);
                    parts.push(String::new());
                }
                '$' => {
                    while rest.next_if(|&next| next.is_ascii_alphanumeric() || next == '_').is_some() {}
                    parts.push(String::new());
                }
                other => push(&mut parts, other),
            }
        }
        match <[String; 1]>::try_from(parts) {
            Ok([text]) => Self::Known(text),
            Err(parts) => Self::Partly(parts),
        }
    }

    /// Whether a stored name may be this one. A partly known name may have any registry.
    pub fn may_be(&self, stored: &str) -> bool {
        let Self::Partly(parts) = self else { return false };
        let ends = stored.match_indices('/').map(|(slash, _)| &stored[slash + 1..]);
        // podman adds a missing tag.
        let may_be = |text: &str| {
            fits(parts, text) || text.strip_suffix(":latest").is_some_and(|text| fits(parts, text))
        };
        std::iter::once(stored).chain(ends).any(may_be)
    }
}

fn push(parts: &mut [String], character: char) {
    if let Some(last) = parts.last_mut() {
        last.push(character);
    }
}

/// Whether a text begins with the first part, ends with the last one, and has the others in between, in their order.
pub(super) fn fits(parts: &[String], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some((last, between)) = rest.split_last() else { return text == first };
    let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
    for part in between {
        match text.find(part.as_str()) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_fills_in_may_be_anything() {
        let may_be = |written: &str, stored: &str| ImageName::new(written).may_be(stored);
        for (written, stored, expected) in [
            ("quay.io/a:%i", "quay.io/a:1", true),
            ("quay.io/a:%i", "quay.io/b:1", false),
            ("quay.io/%i", "quay.io/a:latest", true),
            ("%i", "quay.io/a:1", true),
            ("app:%i", "docker.io/library/app:2", true),
            ("app-%i", "localhost/app-1:latest", true),
            ("app-%i", "localhost/app:latest", false),
            ("a%ib%ic", "axbxc", true),
            ("a%ib%ic", "axc", false),
            ("quay.io/a:1", "quay.io/a:1", false),
        ] {
            assert_eq!(may_be(written, stored), expected, "{written} {stored}");
        }
    }
}
