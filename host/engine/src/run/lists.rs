//! The options and rows of a list for formats, both components and native code.

use bootc_image_core::listing::ImageRow;
use bootc_image_model::columns::Column;

use crate::formats::Wanted;

/// The most rows in one chunk.
pub(crate) const LARGEST_CHUNK: usize = 512;
/// No row is added to a chunk with more bytes than this: the labels of one image can be megabytes long.
const LARGEST_DATA: usize = 1 << 20;

/// The options of a list.
pub(crate) fn options(wanted: Wanted<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let argument = wanted.argument.map(|argument| ("argument", argument.to_owned()));
    [("color", wanted.color.to_string()), ("terminal", wanted.terminal.to_string())]
        .into_iter()
        .chain(argument)
}

/// Calls `cell` for the cells of the next rows, at most `most` of them, row by row and column by column. Returns the number of rows,
/// which is 0 only at the end of the list.
pub(crate) fn next_chunk(
    rows: &[ImageRow],
    columns: &[Column],
    most: usize,
    mut cell: impl FnMut(&str),
) -> usize {
    let (mut taken, mut bytes) = (0, 0);
    for row in rows.iter().take(most.clamp(1, LARGEST_CHUNK)) {
        if bytes > LARGEST_DATA {
            break;
        }
        taken += 1;
        row.cells(columns, |text| {
            bytes += text.len();
            cell(text);
        });
    }
    taken
}

#[cfg(test)]
mod tests {
    use bootc_image_model::columns::ImageType;

    use super::*;

    fn rows(count: usize, length: usize) -> Vec<ImageRow> {
        let row = |number| ImageRow::new(ImageType::Host, format!("{number} {}", "x".repeat(length)));
        (0..count).map(row).collect()
    }

    /// How many rows each chunk has, and all cells.
    fn chunks(rows: &[ImageRow], most: usize) -> (Vec<usize>, Vec<String>) {
        let (mut rest, mut counts, mut cells) = (rows, Vec::new(), Vec::new());
        loop {
            let taken = next_chunk(rest, &[Column::Image], most, |cell| cells.push(cell.to_owned()));
            counts.push(taken);
            rest = &rest[taken..];
            if taken == 0 {
                return (counts, cells);
            }
        }
    }

    #[test]
    fn a_chunk_ends_where_it_gets_large_and_nothing_is_left_out() {
        let rows = rows(20, 300 << 10);
        let (counts, cells) = chunks(&rows, usize::MAX);
        assert_eq!(counts, [4, 4, 4, 4, 4, 0]);
        assert!(rows.iter().map(|row| &row.image).eq(&cells));
    }

    #[test]
    fn a_chunk_has_no_more_rows_than_wanted_and_never_none_before_the_end() {
        assert_eq!(chunks(&rows(3, 1), 2).0, [2, 1, 0]);
        assert_eq!(chunks(&rows(2, 1), 0).0, [1, 1, 0]);
        assert_eq!(chunks(&rows(1000, 1), usize::MAX).0, [512, 488, 0]);
    }
}
