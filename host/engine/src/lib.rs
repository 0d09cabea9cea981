//! Plugins: finding them, reading their manifests, checking their grants, and running them. Only this crate uses the wasmtime runtime
//! to run components.
//!
//! ```text
//! sanitize, strict, places, limits, formats
//!   ^
//! manifest    plugin.toml, read strictly
//!   ^
//! trust       which plugins are installed, which of them are enabled, and why
//!   ^
//! run         the calls to plugins, and the conversion of their answers
//!   ^
//! wasm        components: a fresh store for each run
//! native      native code: a process for each plugin
//!   ^
//! set         all plugins, as core's `Plugins` and as [`formats::Formats`]
//! ```
//!
//! A module uses only modules above it in this diagram.
//!
//! - [`places`]: the directories, and which files in them are trusted; [`strict`]: strict parsing of their TOML
//! - [`sanitize`]: removes characters from plugins' texts that could deceive a reader or a terminal
//! - [`limits`]: the limits of a run
//! - [`configuration`], [`manifest`], [`grants`]: the three kinds of files
//! - [`hidden`]: configuration and grants files that are ignored, and what is missing without them
//! - [`inventory`]: the installed plugins
//! - [`builtin`]: the plugins that are built into this executable
//! - [`doctor`]: problems of plugins, and how to fix them
//! - [`cases`]: test cases of a site's policies

pub mod builtin;
pub mod cases;
pub mod formats;
pub mod limits;
pub mod manifest;
mod native;
pub mod places;
mod run;
pub mod sanitize;
#[cfg(test)]
mod schemas;
mod set;
pub mod strict;
mod trust;
mod unusable;
mod wasm;

pub use builtin::{Artefact, Builtin, builtins};
pub use manifest::{API_VERSION, NATIVE_API_VERSION};
pub use set::{PluginSet, doctor};
pub use trust::environment::Environment;
pub use trust::{configuration, grants, hidden, inventory};
