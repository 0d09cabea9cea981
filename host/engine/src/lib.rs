//! Plugins: where they are, what they claim, whether they may run, and how they are run. The only crate that knows wasmtime.
//!
//! ```text
//! sanitize, strict, places, limits, formats
//!   ^
//! manifest    plugin.toml, read strictly
//!   ^
//! trust       which plugins there are, which of them count, and why
//!   ^
//! run         what is asked of code, and how its answers are taken
//!   ^
//! wasm        components: a fresh store for each run
//! native      native code: a process of its own
//!   ^
//! set         all of them, as core's `Plugins` and as [`formats::Formats`]
//! ```
//!
//! What is below takes nothing from what is above.
//!
//! - [`places`]: which files count, and what makes them believable; [`strict`]: how they are read
//! - [`sanitize`]: takes out of a guest's text what could deceive whoever reads it
//! - [`limits`]: what a run may use
//! - [`configuration`], [`manifest`], [`grants`]: the three kinds of files
//! - [`hidden`]: files that don't count, and what is missing without them
//! - [`inventory`]: what plugins there are
//! - [`builtin`]: the plugins that are part of this executable
//! - [`doctor`]: what is wrong with plugins
//! - [`cases`]: a site's own tests of its policies

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
pub use trust::surroundings::Surroundings;
pub use trust::{configuration, grants, hidden, inventory};
