//! The images in a file of Kubernetes that `podman kube play` starts. The file is YAML, of which this reads no more than the
//! keys `image` and, for volumes of images, `reference`: wherever they stand, so that it finds too much rather than too little.

use std::path::Path;

use super::MAX_FILE;
use crate::error::Error;
use crate::storage::system::System;

/// Keys whose values name images.
const KEYS: [&str; 2] = ["image", "reference"];

/// The images that a unit's `Yaml=` starts.
///
/// # Errors
/// The system's; [`Error::Unit`] if it can't be determined which images these are.
pub(super) fn images(system: &System, unit: &Path, yaml: &str) -> Result<Vec<String>, Error> {
    let unknown = |why: String| Error::Unit { unit: system.path(unit), why };
    if yaml.starts_with("http://") || yaml.starts_with("https://") {
        return Err(unknown(format!("its file {yaml} is fetched when it starts")));
    }
    if yaml.contains(['%', '$']) {
        return Err(unknown(format!("systemd fills in where its file {yaml} is when it starts")));
    }
    let path = unit.parent().unwrap_or(Path::new("/")).join(yaml);
    let text = match system.read(&path, MAX_FILE) {
        Ok(text) => text,
        // Without its file it doesn't start.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(system.error("read", &path)(error)),
    };
    let text = String::from_utf8_lossy(&text);
    in_text(&text).map_err(|line| {
        unknown(format!("line {line} of {} doesn't say its image in one place", system.path(&path).display()))
    })
}

/// The images in a text, or the number of a line whose image stands elsewhere.
fn in_text(text: &str) -> Result<Vec<String>, usize> {
    let mut images = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for value in values(line) {
            match value.chars().next() {
                // A block that begins on the next line, or something that was named elsewhere in the file.
                Some('|' | '>' | '*' | '!') => return Err(number + 1),
                // `&name value`
                Some('&') => images.extend(value.split_once(' ').map(|(_, value)| plain(value))),
                // What an image is mounted as, with its reference within.
                None | Some('{' | '[') => {}
                Some(_) => images.push(plain(value)),
            }
        }
    }
    images.retain(|image| !image.is_empty() && image != "null" && image != "~");
    Ok(images)
}

/// What stands behind the keys in a line, up to its end.
fn values(line: &str) -> impl Iterator<Item = &str> {
    let uncommented = match line.find(" #") {
        Some(comment) => &line[..comment],
        None if line.trim_start().starts_with('#') => "",
        None => line,
    };
    KEYS.into_iter().flat_map(move |key| {
        uncommented.match_indices(key).filter_map(move |(start, _)| {
            let before = uncommented[..start].chars().next_back();
            let begins =
                before.is_none_or(|before| matches!(before, ' ' | '\t' | '-' | '{' | ',' | '"' | '\''));
            let rest = &uncommented[start + key.len()..];
            let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
            rest.strip_prefix(':').filter(|_| begins).map(str::trim)
        })
    })
}

/// A value without quotes, and without what follows it in a line of several.
fn plain(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let text = match quote {
        Some(quote) => value[1..].split(quote).next(),
        None => value.split([',', '}', ' ']).next(),
    };
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::in_text;

    #[test]
    fn images_are_found_however_they_are_written() {
        for (text, images) in [
            ("spec:\n  containers:\n  - name: a\n    image: quay.io/a:1\n", vec!["quay.io/a:1"]),
            ("- image: \"quay.io/a:1\" # words\n", vec!["quay.io/a:1"]),
            (
                "containers: [{name: a, image: quay.io/a:1}, {\"image\": 'quay.io/b'}]",
                vec!["quay.io/a:1", "quay.io/b"],
            ),
            ("{\"image\":\"quay.io/a\",\"x\":1}", vec!["quay.io/a"]),
            ("volumes:\n- image:\n    reference: quay.io/v:1\n", vec!["quay.io/v:1"]),
            ("- image: &base quay.io/a\n", vec!["quay.io/a"]),
            ("# image: quay.io/a\nimagePullPolicy: Never\nmyimage: x\n", vec![]),
        ] {
            assert_eq!(in_text(text), Ok(images.into_iter().map(str::to_owned).collect()), "{text}");
        }
        for text in ["- image: >-\n    quay.io/a\n", "- image: *base\n"] {
            assert_eq!(in_text(text), Err(1), "{text}");
        }
    }
}
