//! Plugins: finding them, checking their grants, and running them. Only this crate uses the wasmtime runtime
//! to run components.
//!
//! ```text
//! builtin, cases, formats, limits, unusable
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
//! A module uses only modules above it in this diagram. `manifest`, `places` and `sanitize` are in other crates,
//! on which this one depends. They are also exported here, for the crates that use this one.
//!
//! - [`places`]: the directories, and which files in them are trusted
//! - [`sanitize`]: removes characters from plugins' texts that could deceive a reader or a terminal
//! - [`limits`]: the limits of a run
//! - [`configuration`], [`manifest`], [`grants`]: the three kinds of files
//! - [`hidden`]: configuration and grants files that are ignored, and what is missing without them
//! - [`inventory`]: the installed plugins
//! - [`builtin`]: the plugins that are built into this executable
//! - [`doctor`]: problems of plugins, and how to fix them; [`packaged`]: those of one that is being packaged
//! - [`cases`]: test cases of a site's policies

pub mod builtin;
pub mod cases;
pub mod formats;
pub mod limits;
mod native;
mod run;
#[cfg(test)]
mod schemas;
mod set;
mod trust;
mod unusable;
mod wasm;

pub use bootc_image_manifest as manifest;
pub use bootc_image_manifest::{API_VERSION, NATIVE_API_VERSION};
pub use bootc_image_model::sanitize;
pub use bootc_image_places as places;
pub use builtin::{Artefact, Builtin, builtins};
pub use set::{PluginSet, doctor, packaged};
pub use trust::environment::Environment;
pub use trust::{configuration, grants, hidden, inventory};
