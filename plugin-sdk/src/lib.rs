//! What a plugin of bootc-image is written with.
//!
//! A plugin is a library crate of type `cdylib`, built for `wasm32-unknown-unknown` and turned into a component. It
//! implements one trait and exports it:
//!
//! ```
//! use bootc_image_plugin_sdk::command::{Command, Plan};
//! use bootc_image_plugin_sdk::{Failure, export_command};
//!
//! struct Newest;
//!
//! impl Command for Newest {
//!     fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
//!         if !args.is_empty() {
//!             return Err(Failure::usage(format!("`{name}` takes no arguments")));
//!         }
//!         Ok(Plan::run([name, "--sort=created"]))
//!     }
//! }
//!
//! export_command!(Newest);
//! ```
//!
//! - [`command`]: plugins that add a subcommand to `bootc-image cmd`
//! - [`policy`]: plugins that allow or deny operations
//! - [`format`](mod@format): plugins that add formats of lists
//! - [`images`]: listing images and having them copied, for those that add subcommands
//! - [`config`]: the plugin's own settings, and checking them before they are put to use
//! - [`log`]: messages for the administrator
//! - [`Failure`], [`Denial`], [`Problem`]: how to refuse and how to fail
//!
//! Everything also compiles natively, where the host is absent: logging does nothing and there are no settings. So the
//! logic of a plugin is tested with a plain `cargo test`.

#![warn(missing_docs)]

// The export macros name this crate by its name, also when they expand inside it.
extern crate self as bootc_image_plugin_sdk;

pub mod command;
pub mod config;
pub mod format;
pub mod images;
pub mod log;
mod panics;
pub mod policy;
mod problems;

#[doc(hidden)]
pub mod bindings;

/// The examples of the documentation compile as well as those of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/write-wrapper.md")]
mod pages {}

pub use bindings::imports::bootc_image::types::attrs::Attr;
pub use bindings::imports::bootc_image::types::problems::{Denial, Failure, Problem};
