//! The arguments of `podman image` as data: one [`Table`] per subcommand, [`parse`] from an argument vector to a [`Command`], and
//! [`Command::argv`] back to the vector that podman gets. What a table does not list is denied before podman starts, so an option
//! that podman hides, or gains in a later version, cannot be used.
//!
//! Tables define how a subcommand parses and what it does, not whether it is allowed: policies decide that. Rules use what a command
//! [`Does`] and the [`Purpose`] of an option, and never compare names.
//!
//! ```text
//! args --parse(table)--> Command --argv()--> what podman gets
//!                           ^                      |
//!                           +------ parse ---------+   the same Command again (property test)
//! ```
//!
//! This crate is the security boundary towards podman, so it does no I/O and has no dependency that interprets its input. See
//! `docs/adr/0005-what-podman-is-given.md`.

mod command;
mod parse;
mod secret;
mod table;
mod tables;

pub use command::{Command, FlagValue, SetFlag, Value};
pub use parse::{ParseError, parse};
pub use secret::SecretFile;
pub use table::{Arity, Does, Flag, Kind, Operand, OwnOperation, Purpose, Table};
pub use tables::{GLOBAL, TABLES, own_spellings, table};
