//! The pipeline of bootc-image, its policies and its record. No argument parsing, no plugins' runtime, no printing.
//!
//! Everything that is done goes one way (D3):
//!
//! ```text
//! Request --pipeline: resolve--> Operation --freeze--> Frozen --Validators::judge--> Judged
//!         --approve--> Approved<Operation> --record intent, execute, record outcome--> Report
//! ```
//!
//! - [`operation`]: what is asked for, and what it becomes
//! - [`frozen`], [`policy`], [`audit`]: judging and recording; [`view`]: what plugins' policies see
//! - [`pipeline`]: the way itself; its private children resolve and execute
//! - [`plugin`]: what the engine implements; [`report`], [`error`]: what comes out

pub mod audit;
pub mod error;
pub mod frozen;
pub mod operation;
pub mod pipeline;
pub mod plugin;
pub mod policy;
pub mod report;
pub mod view;
