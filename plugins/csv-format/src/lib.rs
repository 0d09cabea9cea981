//! Lists as comma-separated values (RFC 4180, but lines end in a newline only).

use bootc_image_plugin_sdk::format::{Format, List, Row};
use bootc_image_plugin_sdk::{Problem, export_format};
use csv::Writer;

pub struct Csv;

impl Format for Csv {
    fn begin(list: &List, out: &mut Vec<u8>) -> Result<Self, Problem> {
        record(list.columns.iter().map(String::as_str), out)?;
        Ok(Self)
    }

    fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        record(row.cells(), out)
    }

    fn end(self, _: &mut Vec<u8>) -> Result<(), Problem> {
        Ok(())
    }
}

fn record<'a>(cells: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) -> Result<(), Problem> {
    let mut writer = Writer::from_writer(out);
    let written = writer.write_record(cells).and_then(|()| Ok(writer.flush()?));
    written.map_err(|error| Problem {
        code: "not-written".to_owned(),
        message: error.to_string(),
        hint: None,
        attrs: Vec::new(),
    })
}

export_format!(Csv);

#[cfg(test)]
mod tests {
    use bootc_image_plugin_sdk::format::formatted;

    use super::*;

    #[test]
    fn separators_in_cells_are_quoted() {
        let list = List { columns: vec!["image".to_owned(), "image_type".to_owned()], ..List::default() };
        let rows: &[&[&str]] = &[&["quay.io/a:1", "host"], &["a,\"b\"\nc", "logical"], &["", ""]];
        let out = String::from_utf8(formatted::<Csv>(&list, rows).unwrap()).unwrap();
        assert_eq!(out, "image,image_type\nquay.io/a:1,host\n\"a,\"\"b\"\"\nc\",logical\n,\n");
        assert_eq!(formatted::<Csv>(&list, &[]).unwrap(), b"image,image_type\n");
    }
}
