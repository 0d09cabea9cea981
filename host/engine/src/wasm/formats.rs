//! `bootc-image:format/formatter`: passes a list to the component and prints the bytes that it returns.

use std::io::{self, Write};
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::Problem;
use super::bindings::output::Output;
use super::guest::Guest;
use super::rows::Cursor;
use crate::formats::Wanted;
use crate::limits::Exceeded;
use crate::run::lists;

/// The most bytes that one call may return.
pub(super) const LARGEST_PIECE: usize = 1 << 20;

/// Why formatting a list ended early.
pub(super) enum Stop {
    /// The component failed.
    Plugin(wasmtime::Error),
    /// The component returned a problem.
    Problem(Problem),
    /// Writing the output failed.
    Output(io::Error),
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Plugin(error)
    }
}

impl From<Exceeded> for Stop {
    fn from(exceeded: Exceeded) -> Self {
        Self::Plugin(exceeded.into())
    }
}

/// The rows and columns to format.
pub(super) struct Listed {
    pub(super) cursor: Cursor,
    pub(super) columns: Vec<String>,
}

/// Formats a list.
pub(super) fn format(
    output: &Output,
    store: &mut Store<Guest>,
    wanted: Wanted<'_>,
    listed: Listed,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let options: Vec<Attr> =
        lists::options(wanted).map(|(key, value)| Attr { key: key.to_owned(), value }).collect();
    let texts = listed.columns.iter().map(String::as_str).chain([wanted.format]).chain(wanted.argument);
    store.data_mut().budget().transfer(texts)?;
    let formatter = output.bootc_image_format_formatter();
    let head = formatter.call_begin(&mut *store, wanted.format, &listed.columns, &options)?;
    print(store, &head.map_err(Stop::Problem)?, false, out)?;

    let cursor = store.data_mut().table_mut().push(listed.cursor).map_err(wasmtime::Error::from)?;
    loop {
        let before = position(store, &cursor)?;
        let piece = formatter.call_chunk(&mut *store, Resource::new_borrow(cursor.rep()))?;
        let Some(bytes) = piece.map_err(Stop::Problem)? else { return Ok(()) };
        let after = position(store, &cursor)?;
        if bytes.is_empty() && before == after {
            return Err(Stop::Plugin(wasmtime::Error::msg("it neither reads rows nor returns output")));
        }
        // Before the end, each piece of output has to read rows. After it, output counts against the limit for an answer.
        print(store, &bytes, before.1, out)?;
    }
}

fn position(store: &Store<Guest>, cursor: &Resource<Cursor>) -> wasmtime::Result<(usize, bool)> {
    Ok(store.data().table().get(cursor)?.position())
}

/// Writes a piece of output. The time that writing takes does not count against the plugin's limits.
fn print(
    store: &mut Store<Guest>,
    bytes: &[u8],
    after_the_end: bool,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    if bytes.len() > LARGEST_PIECE {
        return Err(Exceeded::Output(LARGEST_PIECE).into());
    }
    let budget = store.data_mut().budget();
    budget.transfer_bytes(bytes.len())?;
    if after_the_end {
        budget.write_bytes(bytes.len())?;
    }
    if !bytes.is_empty() {
        let start = Instant::now();
        out.write_all(bytes).map_err(Stop::Output)?;
        store.data_mut().clock_mut().pause(start.elapsed());
    }
    Ok(())
}
