//! `bootc-image:host/rows`: passes a list to a plugin in chunks, with only the columns that were requested.

use std::sync::Arc;

use bootc_image_core::listing::ImageRow;
use bootc_image_model::columns::Column;
use wasmtime::component::Resource;

use super::bindings::imports::bootc_image::host::rows::{Chunk, Host, HostCursor};
use super::guest::Guest;
use crate::run::lists::{LARGEST_CHUNK, next_chunk};

/// The position in a list. It is public because generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Cursor {
    rows: Arc<Vec<ImageRow>>,
    columns: Vec<Column>,
    next: usize,
    /// Whether the plugin was told that there are no more rows.
    ended: bool,
}

impl Cursor {
    pub(super) fn new(rows: Arc<Vec<ImageRow>>, columns: Vec<Column>) -> Self {
        Self { rows, columns, next: 0, ended: false }
    }

    /// A value that changes with every chunk that is read.
    pub(super) fn position(&self) -> (usize, bool) {
        (self.next, self.ended)
    }

    fn advance(&mut self, max: usize) -> Chunk {
        let most = if max == 0 { LARGEST_CHUNK } else { max.min(LARGEST_CHUNK) };
        let rows = self.rows.get(self.next..).unwrap_or_default();
        let (mut data, mut ends) =
            (Vec::new(), Vec::with_capacity(rows.len().min(most) * self.columns.len()));
        let taken = next_chunk(rows, &self.columns, most, |cell| {
            data.extend_from_slice(cell.as_bytes());
            // A chunk has about a mebibyte and one more row, so this never overflows.
            ends.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
        });
        self.next += taken;
        self.ended = taken == 0;
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
