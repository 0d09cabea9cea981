//! Runs components. Every run has its own store, which is dropped at its end: a component keeps no state between runs, and an instance
//! that trapped is never used again.
//!
//! - [`bindings`]: generated from `wit/`
//! - [`versions`], [`exports`], [`imports`]: check the interface version of a component, its world, and the functions that it imports,
//!   before it is linked
//! - [`guest`]: the state of one run on the host's side
//! - [`runtime`]: wasmtime with the host's functions; [`load`]: from a file to machine code; [`runtimes`]: both, created on first use
//! - [`loaded`]: a component, loaded for one call; [`judge`]: a policy, which judges any number of operations
//! - [`pool`]: the memory limit of a run; [`watchdog`]: its time limits; [`stopped`]: why it ended early
//! - `log`, `config`, `rows`, `asks`, `operations`, `commands`, `formats`, `policies`: the interfaces of `wit/`; `wasi`: the inert
//!   functions of WASI

mod asks;
mod bindings;
mod commands;
mod config;
mod exports;
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
mod runtimes;
mod stopped;
mod texts;
mod versions;
mod wasi;
mod watchdog;

pub(crate) use judge::Judge;
pub(crate) use load::Compiler;
pub(crate) use runtimes::Runtimes;
