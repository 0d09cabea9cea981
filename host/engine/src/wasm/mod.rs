//! Runs components. Every run has a store of its own, which goes when the run ends: nothing is remembered, and an instance
//! that trapped is never entered again.
//!
//! - [`bindings`]: generated from `wit/`
//! - [`versions`], [`imports`]: for which host it was built, and what it asks for, compared with what it may have, before
//!   anything is linked
//! - [`guest`]: what the host keeps for one run
//! - [`runtime`]: wasmtime, made ready; [`load`]: from a file to machine code; [`workshop`]: both, made when first needed
//! - [`loaded`]: a component asked one thing; [`judge`]: a policy, asked again and again
//! - [`pool`]: the memory of a run; [`watchdog`]: its time; [`stopped`]: why it ended early
//! - `log`, `config`, `rows`, `asks`, `operations`, `commands`, `formats`, `policies`: one file an interface or two; `wasi`:
//!   what leads nowhere

mod asks;
mod bindings;
mod commands;
mod config;
mod formats;
mod guest;
mod imports;
mod judge;
mod load;
mod loaded;
mod log;
mod operations;
mod policies;
mod pool;
mod rows;
mod runtime;
mod stopped;
mod texts;
mod versions;
mod wasi;
mod watchdog;
mod workshop;

pub(crate) use judge::Judge;
pub(crate) use load::Compiler;
pub(crate) use workshop::Workshop;
