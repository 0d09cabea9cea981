//! Plugins that add formats of lists.
//!
//! ```
//! use bootc_image_plugin_sdk::format::{Format, List, Row};
//! use bootc_image_plugin_sdk::{Problem, export_format};
//!
//! /// Prints one name per line, and then the number of names.
//! struct Names(usize);
//!
//! impl Format for Names {
//!     fn begin(_: &List, _: &mut Vec<u8>) -> Result<Self, Problem> {
//!         Ok(Names(0))
//!     }
//!
//!     fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
//!         self.0 += 1;
//!         out.extend_from_slice(row.cell(0).as_bytes());
//!         out.push(b'\n');
//!         Ok(())
//!     }
//!
//!     fn end(self, out: &mut Vec<u8>) -> Result<(), Problem> {
//!         out.extend_from_slice(format!("{} images\n", self.0).as_bytes());
//!         Ok(())
//!     }
//! }
//!
//! export_format!(Names);
//! ```

use std::cell::RefCell;

use crate::bindings::imports::bootc_image::host::rows;
use crate::bindings::output::exports::bootc_image::format::formatter;
use crate::{Attr, Problem, panics};

/// The list that is to be formatted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// The format that the user asked for, one of those listed in the manifest.
    pub name: String,
    /// The columns that the manifest lists for this format. The cells of each row have the same order.
    pub columns: Vec<String>,
    /// Properties of the output: `terminal`, `color` and `argument`. The WIT describes them at `formatter.begin`.
    pub options: Vec<Attr>,
}

impl List {
    /// Returns the value of an option, or none if it is absent.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|option| option.key == key).map(|option| option.value.as_str())
    }

    /// Returns whether the output is a terminal.
    pub fn on_terminal(&self) -> bool {
        self.option("terminal") == Some("true")
    }

    /// Returns whether colour reaches the terminal. It requires the capability `color`.
    pub fn in_color(&self) -> bool {
        self.option("color") == Some("true")
    }
}

/// A row of the list, with one cell per column.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    data: &'a str,
    /// The offset at which the first cell begins.
    start: usize,
    ends: &'a [u32],
}

impl<'a> Row<'a> {
    /// Returns the cell with the index `column`, counted from 0. It is empty if its value is unknown or there is no such column.
    pub fn cell(&self, column: usize) -> &'a str {
        let end = self.ends.get(column).map_or(0, |&end| end as usize);
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before));
        self.data.get(start.map_or(self.start, |&start| start as usize)..end).unwrap_or_default()
    }

    /// Returns all cells, in the order of the columns.
    pub fn cells(self) -> impl Iterator<Item = &'a str> {
        (0..self.ends.len()).map(move |column| self.cell(column))
    }
}

/// A plugin that formats one list. Export it with [`export_format!`](crate::export_format).
pub trait Format: Sized {
    /// Begins a list and writes the output before the first row, for example a header.
    ///
    /// # Errors
    /// A [`Problem`]. bootc-image then prints nothing of the output: on a terminal it prints the list in its built-in table format. If
    /// the code is `usage`, it prints only the error.
    fn begin(list: &List, out: &mut Vec<u8>) -> Result<Self, Problem>;

    /// Writes one row.
    ///
    /// # Errors
    /// A [`Problem`]. The list is then incomplete, and the exit code tells so.
    fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem>;

    /// Writes the output after the last row.
    ///
    /// # Errors
    /// As for [`Format::row`].
    fn end(self, out: &mut Vec<u8>) -> Result<(), Problem>;
}

/// Formats these rows and returns the output, for native tests.
///
/// # Errors
/// The [`Problem`] that the format returns.
pub fn formatted<F: Format>(list: &List, rows: &[&[&str]]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let mut format = F::begin(list, &mut out)?;
    for cells in rows {
        let ends = cells.iter().scan(0, |end, cell| {
            *end += cell.len() as u32;
            Some(*end)
        });
        let (data, ends) = (cells.concat(), ends.collect::<Vec<u32>>());
        format.row(Row { data: &data, start: 0, ends: &ends }, &mut out)?;
    }
    format.end(&mut out)?;
    Ok(out)
}

/// The state of a format between two calls. An instance formats one list, so it has one state.
#[doc(hidden)]
pub struct Underway<F>(RefCell<Option<(F, usize)>>);

impl<F: Format> Underway<F> {
    /// The state before `begin`.
    #[expect(clippy::new_without_default, reason = "for the macro alone")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Implements `formatter.begin`.
    pub fn begin(&self, name: String, columns: Vec<String>, options: Vec<Attr>) -> Result<Vec<u8>, Problem> {
        panics::forward();
        let list = List { name, columns, options };
        let mut out = Vec::new();
        let format = F::begin(&list, &mut out)?;
        *self.0.borrow_mut() = Some((format, list.columns.len()));
        Ok(out)
    }

    /// Implements `formatter.chunk`.
    pub fn chunk(&self, cursor: &rows::Cursor) -> Result<Option<Vec<u8>>, Problem> {
        let Some((mut format, width)) = self.0.borrow_mut().take() else { return Ok(None) };
        let chunk = cursor.next(0);
        let mut out = Vec::with_capacity(2 * chunk.data.len());
        if chunk.count == 0 {
            format.end(&mut out)?;
            return Ok(Some(out));
        }
        let data = std::str::from_utf8(&chunk.data).map_err(|error| Problem {
            code: "not-text".to_owned(),
            message: format!("the rows from the host are not valid UTF-8: {error}"),
            hint: None,
            attrs: Vec::new(),
        })?;
        let mut start = 0;
        for ends in chunk.ends.chunks(width.max(1)) {
            format.row(Row { data, start, ends }, &mut out)?;
            start = ends.last().map_or(start, |&end| end as usize);
        }
        *self.0.borrow_mut() = Some((format, width));
        Ok(Some(out))
    }
}

/// Implemented by the macro for a plugin.
#[doc(hidden)]
pub use formatter::Guest;
#[doc(hidden)]
pub use rows::Cursor;

/// Exports a type that implements [`Format`](crate::format::Format) as the plugin of this crate. Use it once per crate, where the
/// type is in scope.
#[macro_export]
macro_rules! export_format {
    ($plugin:ident) => {
        const _: () = {
            thread_local! {
                static UNDERWAY: $crate::format::Underway<$plugin> =
                    const { $crate::format::Underway::new() };
            }

            impl $crate::format::Guest for $plugin {
                fn begin(
                    name: String,
                    columns: Vec<String>,
                    options: Vec<$crate::Attr>,
                ) -> Result<Vec<u8>, $crate::Problem> {
                    UNDERWAY.with(|underway| underway.begin(name, columns, options))
                }

                fn chunk(rows: &$crate::format::Cursor) -> Result<Option<Vec<u8>>, $crate::Problem> {
                    UNDERWAY.with(|underway| underway.chunk(rows))
                }
            }
        };

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::output::export_output!($plugin);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_in_the_middle_of_a_chunk() {
        let row = Row { data: "skippedabxyz", start: 7, ends: &[9, 9, 12] };
        assert_eq!(row.cells().collect::<Vec<_>>(), ["ab", "", "xyz"]);
        assert_eq!(row.cell(3), "");
    }

    #[test]
    fn whether_the_output_is_a_terminal_is_an_option() {
        let option = |value: &str| Attr { key: "terminal".to_owned(), value: value.to_owned() };
        let list = |value| List { options: vec![option(value)], ..List::default() };
        assert!(list("true").on_terminal() && !list("false").on_terminal() && !List::default().on_terminal());
    }
}
