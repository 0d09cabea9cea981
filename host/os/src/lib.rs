//! Access to the operating system: files, locks, mounts and processes. Nothing here depends on images.
//!
//! - [`processes`]: the only module that starts programs; [`mounts`]: their private mounts
//! - [`root`]: reading files below a directory without leaving it; [`files`], [`scratch`]: creating our own files
//! - [`trust`]: whether only root can change what is at a path
//! - [`lock`], [`lock_watch`]: locks, and which process holds them
//! - [`room`]: making removals possible on a full file system
//! - [`reporter`]: the reporter of progress, which the command line implements

pub mod error;
pub mod files;
pub mod lock;
pub mod lock_watch;
pub mod mounts;
pub mod processes;
pub mod reporter;
pub mod room;
pub mod root;
pub mod scratch;
pub mod trust;
