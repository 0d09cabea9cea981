//! The pipeline of bootc-image, its policies and its record. No argument parsing, no plugins' runtime, no printing.
//!
//! Everything that is done goes one way (D3):
//!
//! ```text
//! Request --pipeline: resolve--> Operation --freeze--> Frozen --Validators::judge--> Judged
//!         --approve--> Approved<Operation> --record intent, execute, record outcome--> Report
//! ```
//!
//! - [`pipeline`]: the way itself
//! - [`ops`]: what can be done, an operation a file; [`context`]: what it may use of the world
//! - [`frozen`], [`policy`], [`audit`]: judging and recording
//! - `commands`: running podman on bootc's storage
//! - [`plugin`]: what the engine implements; [`listing`], [`error`]: what comes out
//! - [`assumed`]: what names mean in a site's own test of its policies

mod advice;
pub mod assumed;
pub mod audit;
mod commands;
pub mod context;
pub mod error;
pub mod frozen;
pub mod listing;
pub mod ops;
pub mod pipeline;
pub mod plugin;
pub mod policy;
