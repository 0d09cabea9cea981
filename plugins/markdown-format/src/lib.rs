//! Lists as tables for Markdown documents, in the syntax of GitHub Flavored Markdown.

use bootc_image_plugin_sdk::format::{Format, List, Row};
use bootc_image_plugin_sdk::{Problem, export_format};

pub struct Markdown;

impl Format for Markdown {
    fn begin(list: &List, out: &mut Vec<u8>) -> Result<Self, Problem> {
        line(list.columns.iter().map(String::as_str), out);
        line(list.columns.iter().map(|_| "---"), out);
        Ok(Self)
    }

    fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        let cells: Vec<String> = row.cells().map(literal).collect();
        line(cells.iter().map(String::as_str), out);
        Ok(())
    }

    fn end(self, _: &mut Vec<u8>) -> Result<(), Problem> {
        Ok(())
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    for cell in cells {
        out.extend_from_slice(b"| ");
        out.extend_from_slice(cell.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(b"|\n");
}

/// Escapes a text so that Markdown shows it unchanged: a backslash escapes any ASCII punctuation. The characters that are common in
/// names and have no meaning within a line are not escaped.
fn literal(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '\n' | '\r' => text.push(' '),
            c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | ':' | '/' | '-' | '@') => {
                text.extend(['\\', c]);
            }
            c => text.push(c),
        }
    }
    text
}

export_format!(Markdown);

#[cfg(test)]
mod tests {
    use bootc_image_plugin_sdk::format::formatted;

    use super::*;

    #[test]
    fn characters_with_a_meaning_in_markdown_are_escaped() {
        let list = List { columns: vec!["image".to_owned(), "image_type".to_owned()], ..List::default() };
        let rows: &[&[&str]] = &[&["quay.io/a_b-c:1", "host"], &["a|b*<i>\nc", "logical"]];
        let out = String::from_utf8(formatted::<Markdown>(&list, rows).unwrap()).unwrap();
        assert_eq!(
            out,
            "| image | image_type |\n| --- | --- |\n| quay.io/a\\_b-c:1 | host |\n| a\\|b\\*\\<i\\> c | logical |\n"
        );
    }
}
