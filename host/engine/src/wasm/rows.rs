//! `bootc-image:host/rows`: a list, lent to a formatter chunk by chunk. Only the columns that its manifest names cross.

use std::sync::Arc;

use bootc_image_core::report::{Column, ImageRow};
use bootc_image_grammar::weakened::is_off;
use wasmtime::component::Resource;

use super::bindings::imports::bootc_image::host::rows::{Chunk, Host, HostCursor};
use super::guest::Guest;

/// The most rows in one chunk.
const LARGEST_CHUNK: usize = 512;
/// No row is added to a chunk that has more bytes than this: an image can have labels of megabytes.
const LARGEST_DATA: usize = 1 << 20;

/// How far a formatter is. Generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Cursor {
    rows: Arc<Vec<ImageRow>>,
    columns: Vec<Column>,
    next: usize,
    /// Whether it was told that nothing follows.
    ended: bool,
}

impl Cursor {
    pub(super) fn new(rows: Arc<Vec<ImageRow>>, columns: Vec<Column>) -> Self {
        Self { rows, columns, next: 0, ended: false }
    }

    /// Something that changes whenever it moves on.
    pub(super) fn position(&self) -> (usize, bool) {
        (self.next, self.ended)
    }

    fn advance(&mut self, max: usize) -> Chunk {
        let count = if max == 0 { LARGEST_CHUNK } else { max.min(LARGEST_CHUNK) };
        let rows = self.rows.get(self.next..).unwrap_or_default();
        let rows = rows.get(..count).unwrap_or(rows);
        let (mut data, mut ends) = (Vec::new(), Vec::with_capacity(rows.len() * self.columns.len()));
        let mut taken = 0;
        for row in rows {
            if data.len() > LARGEST_DATA && !is_off("chunk") {
                break;
            }
            taken += 1;
            row.cells(&self.columns, |cell| {
                data.extend_from_slice(cell.as_bytes());
                // A chunk has a mebibyte, and a row that is no larger than a few documents.
                ends.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
            });
        }
        self.next += taken;
        self.ended = rows.is_empty();
        Chunk { count: u32::try_from(taken).unwrap_or(u32::MAX), data, ends }
    }
}

impl Host for Guest {}

impl HostCursor for Guest {
    fn columns(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<Vec<String>> {
        let columns = &self.table().get(&cursor)?.columns;
        let names: Vec<String> = columns.iter().map(|column| column.name().to_owned()).collect();
        self.budget().transfer(names.iter().map(String::as_str))?;
        Ok(names)
    }

    fn next(&mut self, cursor: Resource<Cursor>, max: u32) -> wasmtime::Result<Chunk> {
        let chunk = self.table_mut().get_mut(&cursor)?.advance(usize::try_from(max).unwrap_or(usize::MAX));
        self.budget().allow_output_of(chunk.data.len());
        self.budget().transfer_bytes(chunk.data.len() + size_of::<u32>() * chunk.ends.len())?;
        Ok(chunk)
    }

    fn drop(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table_mut().delete(cursor)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bootc_image_core::report::ImageType;

    use super::*;

    #[test]
    fn a_chunk_ends_where_it_gets_large_and_nothing_is_left_out() {
        let row =
            |number: usize| ImageRow::new(ImageType::Host, format!("{number} {}", "x".repeat(300 << 10)));
        let mut cursor = Cursor::new(Arc::new((0..20).map(row).collect()), vec![Column::Image]);
        let mut counts = Vec::new();
        loop {
            let chunk = cursor.advance(0);
            assert!(chunk.data.len() < LARGEST_DATA + (301 << 10));
            counts.push(chunk.count);
            if chunk.count == 0 {
                break;
            }
        }
        assert_eq!(counts, [4, 4, 4, 4, 4, 0]);
    }
}
