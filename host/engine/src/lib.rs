//! Plugins: what they claim, and how a component is run. The only crate that knows wasmtime.
//!
//! ```text
//! plugin.toml --manifest--> claims ---\
//!                                      PluginSet (implements core's `Plugins`) --plan--> Plan, back into the pipeline
//! artefact ----wasm: fresh store -----/
//! ```
//!
//! - [`manifest`]: reads `plugin.toml`, strictly
//! - [`builtin`]: the plugins that are part of this executable
//! - [`set`]: all plugins together, none claiming what another claims
//! - [`sanitize`]: takes out of a guest's text what could deceive whoever reads it
//! - `wasm`: runs a component within its limits; no function of wasmtime runs before a plan is asked for

pub mod builtin;
pub mod manifest;
pub mod sanitize;
pub mod set;
mod wasm;

pub use builtin::{Artefact, Builtin, builtins};
pub use set::PluginSet;

/// Version of the WIT packages that this host offers. A manifest's `api` must include it.
pub const API_VERSION: semver::Version = semver::Version::new(0, 1, 0);
