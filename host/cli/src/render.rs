//! Lists and verdicts as tables and JSON.

use std::io::{self, BufWriter, IsTerminal as _, Seek as _, Write};
use std::sync::Arc;

use bootc_image_core::error::Error;
use bootc_image_core::listing::{ImageRow, Listing};
use bootc_image_core::policy::{Judged, Verdict};
use bootc_image_engine::formats::{FormatError, Formats, Wanted};
use bootc_image_engine::sanitize;
use bootc_image_os::{files, processes};
use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit::{DENIED, Failure, OK, UNFORMATTED};
use crate::settings::wants_no_color;
use crate::ui::Ui;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// JSON
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListFormat {
    /// A built-in format.
    Own(Format),
    /// A plugin's format.
    OfPlugin {
        name: String,
        /// The text after `=`.
        argument: Option<String>,
        /// Whether a table is printed if the plugin cannot be used, also where no person reads it.
        fallback: bool,
    },
}

impl Default for ListFormat {
    fn default() -> Self {
        Self::Own(Format::default())
    }
}

impl From<&str> for ListFormat {
    fn from(text: &str) -> Self {
        let of_plugin = |_| {
            let (name, argument) =
                text.split_once('=').map_or((text, None), |(name, argument)| (name, Some(argument)));
            Self::OfPlugin { name: name.to_owned(), argument: argument.map(str::to_owned), fallback: false }
        };
        Format::from_str(text, false).map_or_else(of_plugin, Self::Own)
    }
}

/// Prints a list and the errors that made it incomplete; returns the exit code.
pub(crate) fn listing(
    ui: &Ui,
    plugins: &dyn Formats,
    listing: Listing,
    format: &ListFormat,
) -> Result<u8, Failure> {
    let code = match format {
        ListFormat::Own(Format::Table) => ui.data(|out| table(&listing.rows, out)).map(|()| OK),
        ListFormat::Own(Format::Json) => ui.data(|out| json(&listing.rows, out)).map(|()| OK),
        ListFormat::OfPlugin { name, argument, fallback } => {
            formatted(ui, plugins, (name, argument.as_deref()), *fallback, &Arc::new(listing.rows))
        }
    };
    listing.problems.iter().fold(code, |code, problem| {
        let failed = ui.problem(problem, problem.hint().as_deref());
        // Whoever reads the output in the format must know first that it is not in it.
        code.map(|code| if code == UNFORMATTED { code } else { failed })
    })
}

/// Prints the list with a plugin's format. If the plugin fails, a table is printed where people read it, or if it was asked for; a
/// program that reads the output gets nothing.
fn formatted(
    ui: &Ui,
    plugins: &dyn Formats,
    (format, argument): (&str, Option<&str>),
    fallback: bool,
    rows: &Arc<Vec<ImageRow>>,
) -> Result<u8, Failure> {
    let terminal = io::stdout().is_terminal();
    let may_color =
        || plugins.format_claims().into_iter().flatten().any(|claim| claim.name == format && claim.color);
    let color = terminal && !wants_no_color() && may_color();
    let wanted = Wanted { format, argument, terminal, color };
    let failed = |source| Failure::from(Error::io("keep", "the formatted list in memory")(source));
    // Printed only once it is complete. The file does not count against the limits of the process, and is as large as the plugin's
    // limit of exchanged data allows.
    let mut buffer = BufWriter::new(files::in_memory("formatted-list").map_err(failed)?);
    let outcome = plugins.format(wanted, rows, &mut buffer);
    if outcome.is_err() {
        // A signal made the format fail: the user no longer wants a table either.
        processes::check_interrupted()?;
    }
    match outcome {
        Ok(()) => {
            let mut list = buffer.into_inner().map_err(|error| failed(error.into_error()))?;
            list.rewind().map_err(failed)?;
            ui.data(|out| {
                if !terminal {
                    return io::copy(&mut list, out).map(drop);
                }
                let mut shown = sanitize::ForTerminal::new(out, color);
                io::copy(&mut list, &mut shown)?;
                shown.finish()
            })?;
            Ok(OK)
        }
        Err(FormatError::Output(source)) => Err(failed(source)),
        Err(FormatError::Unknown { name, .. }) if Format::from_str(&name, false).is_ok() => {
            Err(Failure::FormatUsage(FormatError::no_argument(&name)))
        }
        Err(FormatError::Unknown { name, broken }) => {
            let own = Format::value_variants().iter().filter_map(|format| format.to_possible_value());
            let own = own.map(|value| value.get_name().to_owned());
            let known = own.chain(plugins.format_claims().into_iter().flatten().map(|claim| claim.name));
            Err(Failure::Format { name, known: known.collect::<Vec<_>>().join(", "), broken })
        }
        Err(error @ FormatError::Usage { .. }) => Err(Failure::FormatUsage(error)),
        Err(error @ FormatError::Failed { .. }) if terminal || fallback => {
            ui.data(|out| table(rows, out))?;
            Ok(ui.warning(&error, "the list is printed as a table", error.hint(), UNFORMATTED))
        }
        Err(error @ FormatError::Failed { .. }) => {
            let table = "to get a table instead, add --format-fallback";
            let hint = error.hint().map_or_else(|| table.to_owned(), |hint| format!("{hint}; {table}"));
            Ok(ui.error(&error, Some(&hint), UNFORMATTED))
        }
    }
}

fn table(rows: &[ImageRow], out: &mut dyn Write) -> io::Result<()> {
    let cells = rows.iter().map(|row| [row.image.clone(), row.image_type.as_str().to_owned()]);
    columns(["REPOSITORY", "TYPE"], cells, out)
}

/// Columns for people, without borders.
pub(crate) fn columns<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| sanitize::sanitize(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

pub(crate) fn json(value: &(impl Serialize + ?Sized), out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// What `--dry-run` prints.
#[derive(Serialize)]
struct Judgement<'a> {
    allowed: bool,
    digest: &'a str,
    canonical: &'a RawValue,
    verdicts: &'a [Verdict],
}

/// Prints the canonical form of an operation and its verdicts; returns the exit code.
pub(crate) fn judged(ui: &Ui, judged: &Judged) -> Result<u8, Failure> {
    let canonical =
        serde_json::from_str(judged.canonical().json()).map_err(|error| Failure::Stdout(error.into()))?;
    let judgement = Judgement {
        allowed: judged.denial().is_none(),
        digest: judged.canonical().digest().as_str(),
        canonical,
        verdicts: judged.verdicts(),
    };
    ui.data(|out| json(&judgement, out))?;
    Ok(match judged.denial() {
        None => OK,
        Some(denial) => {
            ui.denied(denial, denial.hint.as_deref());
            DENIED
        }
    })
}

#[cfg(test)]
mod tests {
    use bootc_image_model::columns::ImageType;

    use super::*;

    fn rendered(
        render: impl FnOnce(&[ImageRow], &mut dyn Write) -> io::Result<()>,
        names: &[&str],
    ) -> String {
        let types = [ImageType::Host, ImageType::Unified, ImageType::Logical];
        let rows: Vec<ImageRow> = names
            .iter()
            .zip(types.into_iter().cycle())
            .map(|(&image, image_type)| ImageRow::new(image_type, image.to_owned()))
            .collect();
        let mut out = Vec::new();
        render(&rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_has_a_header_and_no_trailing_spaces() {
        insta::assert_snapshot!(rendered(table, &["docker://quay.io/a:1", "quay.io/a:1", "x"]), @r"
        REPOSITORY            TYPE
        docker://quay.io/a:1  host
        quay.io/a:1           unified
        x                     logical
        ");
        assert_eq!(rendered(table, &[]), "REPOSITORY  TYPE\n");
    }

    #[test]
    fn a_name_cannot_control_the_terminal() {
        let shown = rendered(table, &["\u{1b}[2Jevil\u{202e}x"]);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    }

    #[test]
    fn json_is_the_same_as_bootcs_and_ends_in_a_newline() {
        let json_rows = |rows: &[ImageRow], out: &mut dyn Write| json(rows, out);
        assert_eq!(
            rendered(json_rows, &["docker://quay.io/a:1"]),
            "[\n  {\n    \"image_type\": \"host\",\n    \"image\": \"docker://quay.io/a:1\"\n  }\n]\n"
        );
        assert_eq!(rendered(json_rows, &[]), "[]\n");
    }
}
