//! podman's image arguments as data (D3.8 to D3.11): one [`Table`] a subcommand says how it parses, [`parse`] turns an
//! argument vector into a [`Command`], and [`Command::argv`] prints the vector that podman gets. What a table doesn't list
//! is refused before podman starts, so an option that podman hides, or gains in a later version, opens nothing.
//!
//! Tables say how a subcommand parses and what it does, never whether it is allowed: that is a plugin's business. Rules
//! ask what a command [`Does`], and for the [`Purpose`] of an option; nobody compares names.
//!
//! ```text
//! args --parse(table)--> Command --argv()--> what podman gets
//!                           ^                      |
//!                           +------ parse ---------+   the same Command again (property test)
//! ```
//!
//! This crate is the security boundary towards podman: no I/O, no dependency that interprets anything.

mod command;
mod parse;
mod table;
mod tables;

pub use command::{Command, FlagValue, SetFlag, Value};
pub use parse::{Refusal, parse};
pub use table::{Arity, Does, Flag, Kind, Operand, OwnOperation, Purpose, Table};
pub use tables::{GLOBAL, TABLES, own_spellings, table};
