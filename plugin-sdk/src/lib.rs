//! The SDK for writing WebAssembly plugins of bootc-image.
//!
//! A plugin is a library crate of type `cdylib` that is built for `wasm32-unknown-unknown` and then packaged as a WebAssembly
//! component. It implements one trait and exports it:
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
//! - [`images`]: listing and copying images, for plugins that add subcommands
//! - [`config`]: the plugin's own settings, and checking them before they are used
//! - [`log`]: messages for the administrator
//! - [`Failure`], [`Denial`], [`Problem`]: denying and failing
//!
//! Everything also compiles for the build machine, where bootc-image does not run it: logging does nothing, and there are no settings. The
//! logic of a plugin can therefore be tested with a plain `cargo test`.

#![warn(missing_docs)]

// The export macros refer to this crate by its name, even if they expand inside it.
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

/// Compiles the examples of the documentation together with those of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/write-wrapper.md")]
mod pages {}

pub use bindings::imports::bootc_image::types::attrs::Attr;
pub use bindings::imports::bootc_image::types::problems::{Denial, Failure, Problem};
