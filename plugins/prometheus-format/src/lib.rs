//! Lists as metrics in the Prometheus text format, for the textfile collector of the node exporter.

use std::fmt::Write as _;

use bootc_image_plugin_sdk::format::{Format, List, Row};
use bootc_image_plugin_sdk::{Problem, export_format};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Collects the lines of each metric separately, because the text format requires them to be grouped.
#[derive(Default)]
pub struct Prometheus {
    info: String,
    size: String,
    created: String,
}

impl Format for Prometheus {
    fn begin(_: &List, _: &mut Vec<u8>) -> Result<Self, Problem> {
        Ok(Self::default())
    }

    fn row(&mut self, row: Row<'_>, _: &mut Vec<u8>) -> Result<(), Problem> {
        let [image_type, image, digest, size, created] = [0, 1, 2, 3, 4].map(|column| row.cell(column));
        let labels = format!("type=\"{}\",image=\"{}\"", escaped(image_type), escaped(image));
        let _ = writeln!(self.info, "bootc_image_info{{{labels},digest=\"{}\"}} 1", escaped(digest));
        if let Ok(size) = size.parse::<u64>() {
            let _ = writeln!(self.size, "bootc_image_size_bytes{{{labels}}} {size}");
        }
        if let Ok(time) = OffsetDateTime::parse(created, &Rfc3339) {
            let _ = writeln!(
                self.created,
                "bootc_image_created_timestamp_seconds{{{labels}}} {}",
                time.unix_timestamp()
            );
        }
        Ok(())
    }

    fn end(self, out: &mut Vec<u8>) -> Result<(), Problem> {
        for (name, help, values) in [
            ("bootc_image_info", "Images of this host (always 1).", self.info),
            ("bootc_image_size_bytes", "Unpacked size of an image in bytes.", self.size),
            ("bootc_image_created_timestamp_seconds", "Time of creation of an image.", self.created),
        ] {
            out.extend_from_slice(format!("# HELP {name} {help}\n# TYPE {name} gauge\n{values}").as_bytes());
        }
        Ok(())
    }
}

/// Escapes the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

export_format!(Prometheus);

#[cfg(test)]
mod tests {
    use bootc_image_plugin_sdk::format::formatted;

    use super::*;

    #[test]
    fn metrics_are_grouped_and_described() {
        let rows: &[&[&str]] = &[
            &["host", "docker://quay.io/a:1", "sha256:0", "", "1970-01-01T00:01:00Z"],
            &["unified", "a\"b\\c\n", "", "12", ""],
        ];
        let out = String::from_utf8(formatted::<Prometheus>(&List::default(), rows).unwrap()).unwrap();
        let expected = "\
# HELP bootc_image_info Images of this host (always 1).
# TYPE bootc_image_info gauge
bootc_image_info{type=\"host\",image=\"docker://quay.io/a:1\",digest=\"sha256:0\"} 1
bootc_image_info{type=\"unified\",image=\"a\\\"b\\\\c\\n\",digest=\"\"} 1
# HELP bootc_image_size_bytes Unpacked size of an image in bytes.
# TYPE bootc_image_size_bytes gauge
bootc_image_size_bytes{type=\"unified\",image=\"a\\\"b\\\\c\\n\"} 12
# HELP bootc_image_created_timestamp_seconds Time of creation of an image.
# TYPE bootc_image_created_timestamp_seconds gauge
bootc_image_created_timestamp_seconds{type=\"host\",image=\"docker://quay.io/a:1\"} 60
";
        assert_eq!(out, expected);
    }
}
