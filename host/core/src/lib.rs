//! The pipeline of bootc-image, its policies and its audit record. It parses no arguments, runs no plugins and prints nothing.
//!
//! Every operation takes the same path, so that none can run unjudged or unrecorded:
//!
//! ```text
//! Request --pipeline: resolve--> Operation --canonical form--> Frozen --Validators::judge--> Judged
//!         --approve--> Approved<Operation> --record intent, execute, record outcome--> Report
//! ```
//!
//! - [`pipeline`]: that path
//! - [`ops`]: the operations, one per file; [`context`]: the host and the plugins that they use
//! - [`canonical`]: the canonical form of an operation; [`policy`], [`audit`]: judging and recording
//! - `commands`: running podman on bootc's storage
//! - [`plugin`]: the traits that the engine implements; [`listing`], [`error`]: results
//! - [`demands`]: what podman's signature policy demands of images that an operation fetches
//! - [`lacking`]: what this host lacks; [`names`]: names of images for completion
//! - [`assumed`]: what image names resolve to when a site tests its policies

mod advice;
pub mod assumed;
pub mod audit;
pub mod canonical;
mod commands;
pub mod context;
pub mod demands;
pub mod error;
pub mod lacking;
pub mod listing;
pub mod names;
pub mod ops;
pub mod pipeline;
pub mod plugin;
pub mod policy;
