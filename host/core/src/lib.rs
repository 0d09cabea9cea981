//! The domain of bootc-image. No argument parsing, no plugins' runtime, no printing.
//!
//! Everything that is done goes one way (D3):
//!
//! ```text
//! Request --pipeline: resolve--> Operation --freeze--> Frozen --Validators::judge--> Judged
//!         --approve--> Approved<Operation> --record intent, execute, record outcome--> Report
//! ```
//!
//! - [`operation`], [`reference`], [`digest`], [`subject`]: what is asked for, of what, by whom
//! - [`frozen`], [`policy`], [`audit`]: judging and recording; [`view`]: what plugins' policies see
//! - [`pipeline`]: the way itself; its private children resolve and execute
//! - [`storage`]: native readers; [`bootc_store`], `default_store`, [`export`], `transfer`: writers; [`copies`]: what has
//!   been copied;
//!   [`children`]: the only place that starts programs; [`scratch`]: where they may leave something
//! - [`plugin`]: what the engine implements; [`talk`]: what the command line implements
//! - [`files`]: how files of ours are made; `room`: how something is removed where there is no room for that
//! - [`settings`], [`report`], [`error`]: what goes in and what comes out

pub mod audit;
pub mod bootc_store;
pub mod capability;
pub mod children;
pub mod copies;
mod default_store;
pub mod digest;
pub mod error;
pub mod export;
pub mod files;
pub mod frozen;
mod lock_watch;
mod mounts;
mod oci;
pub mod operation;
pub mod pattern;
pub mod pipeline;
pub mod plugin;
pub mod policy;
pub mod reference;
mod registry;
pub mod report;
mod room;
pub mod scratch;
pub mod settings;
pub mod storage;
pub mod subject;
pub mod talk;
mod transfer;
pub mod view;
