//! Plugins: where they are, what they claim, whether they may run, and how a component is run. The only crate that knows
//! wasmtime.
//!
//! ```text
//! config.d --configuration--\
//! plugin.toml --manifest----- inventory --> PluginSet (implements core's `Plugins`) --> plans and opinions, to the pipeline
//! grants.d ----grants-------/                  |
//! component ---code: digest, machine code------/ wasm: a fresh store for each run
//! ```
//!
//! - [`places`]: which files count, and what makes them believable; [`strict`]: how they are read
//! - [`configuration`], [`manifest`], `grants`: the three kinds of files
//! - [`hidden`]: files that don't count, and what is missing without them
//! - [`inventory`]: what plugins there are; `standing`: whether one may run; `approving`: what `plugin approve` writes
//! - [`set`]: all of them as the core sees them; `policy`: one that judges
//! - [`builtin`]: the plugins that are part of this executable
//! - [`cases`]: a site's own tests of its policies
//! - [`doctor`]: what is wrong with plugins
//! - `code`: from a component on disk to machine code
//! - [`sanitize`]: takes out of a guest's text what could deceive whoever reads it
//! - `native`: runs native code, in a process of its own
//! - `answers`: what plugins answer, whatever they are made of, as the core takes it
//! - [`wasm`]: runs a component within its [`limits`]; no function of wasmtime runs before a plugin does

mod answers;
mod approving;
pub mod builtin;
pub mod cases;
mod code;
pub mod configuration;
pub mod doctor;
pub mod formats;
pub mod grants;
pub mod hidden;
pub mod inventory;
mod lists;
pub mod manifest;
mod native;
pub mod places;
mod policy;
pub mod sanitize;
#[cfg(test)]
mod schemas;
pub mod set;
mod standing;
pub mod strict;
mod wasm;

pub use builtin::{Artefact, Builtin, builtins};
pub use set::{PluginSet, Surroundings};
pub use wasm::limits;

/// Version of the WIT packages that this host offers. A manifest's `api` must include it.
pub const API_VERSION: semver::Version = semver::Version::new(0, 1, 0);

/// Version of `bootc_image_extension.h` that this host offers. The `api` of native code must include it.
pub const NATIVE_API_VERSION: semver::Version = semver::Version::new(
    bootc_image_extension::abi::MAJOR as u64,
    bootc_image_extension::abi::MINOR as u64,
    0,
);
