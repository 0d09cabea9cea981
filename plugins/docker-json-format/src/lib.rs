//! Lists in the format of `docker image ls --format json`: one JSON object per line, all values strings.
//!
//! The fields and their values are those of Docker's command-line reference ("docker image ls", section "Format the output").
//! Unknown values are `<none>` where Docker uses that, otherwise `N/A`.

use bootc_image_plugin_sdk::format::{Format, List, Row};
use bootc_image_plugin_sdk::{Problem, export_format};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub struct DockerJson;

/// A line, with Docker's fields in Docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    containers: &'a str,
    created_at: String,
    created_since: &'a str,
    digest: &'a str,
    #[serde(rename = "ID")]
    id: &'a str,
    repository: &'a str,
    shared_size: &'a str,
    size: String,
    tag: &'a str,
    unique_size: &'a str,
    virtual_size: String,
}

const NONE: &str = "<none>";
const UNKNOWN: &str = "N/A";
/// The number of digits of an ID that Docker shows.
const SHORT: usize = 12;

impl Format for DockerJson {
    fn begin(_: &List, _: &mut Vec<u8>) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        let [image, digest, id, size, created] = [0, 1, 2, 3, 4].map(|column| row.cell(column));
        let (repository, tag) = split(image);
        let size = size.parse().map_or_else(|_| UNKNOWN.to_owned(), human);
        let line = Line {
            containers: UNKNOWN,
            created_at: created_at(created),
            // A relative time would change with every run, and `created_at` has the same information.
            created_since: UNKNOWN,
            digest: or(digest, NONE),
            id: or(id.get(..SHORT).unwrap_or(id), NONE),
            repository,
            shared_size: UNKNOWN,
            virtual_size: size.clone(),
            size,
            tag,
            unique_size: UNKNOWN,
        };
        serde_json::to_writer(&mut *out, &line).map_err(|error| Problem {
            code: "not-written".to_owned(),
            message: error.to_string(),
            hint: None,
            attrs: Vec::new(),
        })?;
        out.push(b'\n');
        Ok(())
    }

    fn end(self, _: &mut Vec<u8>) -> Result<(), Problem> {
        Ok(())
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// Splits a name into repository and tag. A name with a digest may have no tag.
fn split(image: &str) -> (&str, &str) {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, NONE),
    }
}

/// `2026-01-02 03:04:05 +0000 UTC`
fn created_at(created: &str) -> String {
    let Ok(time) = OffsetDateTime::parse(created, &Rfc3339) else { return UNKNOWN.to_owned() };
    let time = time.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}:{:02} +0000 UTC", time.date(), time.hour(), time.minute(), time.second())
}

/// Formats a size like Docker: powers of 1,000, three significant digits.
fn human(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut size = size as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let digits = match size {
        size if size >= 99.95 || unit == 0 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let number = format!("{size:.digits$}");
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", UNITS[unit])
}

export_format!(DockerJson);

#[cfg(test)]
mod tests {
    use bootc_image_plugin_sdk::format::formatted;

    use super::*;

    #[test]
    fn a_line_has_dockers_fields() {
        let (digest, id) = (format!("sha256:{}", "a".repeat(64)), "b".repeat(64));
        let rows: &[&[&str]] = &[
            &["quay.io/a/b:1", &digest, &id, "7523112", "2026-01-02T05:04:05.123456789+02:00"],
            &["localhost:5000/a@sha256:0", "", "", "", ""],
        ];
        let out = String::from_utf8(formatted::<DockerJson>(&List::default(), rows).unwrap()).unwrap();
        let expected = format!(
            "{{\"Containers\":\"N/A\",\"CreatedAt\":\"2026-01-02 03:04:05 +0000 UTC\",\"CreatedSince\":\"N/A\",\
             \"Digest\":\"{digest}\",\"ID\":\"bbbbbbbbbbbb\",\"Repository\":\"quay.io/a/b\",\"SharedSize\":\"N/A\",\
             \"Size\":\"7.52MB\",\"Tag\":\"1\",\"UniqueSize\":\"N/A\",\"VirtualSize\":\"7.52MB\"}}\n\
             {{\"Containers\":\"N/A\",\"CreatedAt\":\"N/A\",\"CreatedSince\":\"N/A\",\"Digest\":\"<none>\",\"ID\":\"<none>\",\
             \"Repository\":\"localhost:5000/a\",\"SharedSize\":\"N/A\",\"Size\":\"N/A\",\"Tag\":\"<none>\",\
             \"UniqueSize\":\"N/A\",\"VirtualSize\":\"N/A\"}}\n"
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn sizes_have_three_digits() {
        for (size, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (12_345, "12.3kB"),
            (123_456, "123kB"),
            (999_600, "1MB"),
            (1_500_000_000, "1.5GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(human(size), text);
        }
    }
}
