//! What bootc-image needs of the operating system. Nothing here knows what an image is.
//!
//! - [`children`]: the only place that starts programs; [`mounts`]: their private mounts
//! - [`root`]: files below a directory that nothing leads out of; [`files`], [`scratch`]: how files of ours are made
//! - [`trust`]: whether nobody but root can change what is at a path
//! - [`lock`], [`lock_watch`]: locks, and who holds them
//! - [`room`]: how something is removed where there is no room for that
//! - [`talk`]: what the command line implements

pub mod children;
pub mod error;
pub mod files;
pub mod lock;
pub mod lock_watch;
pub mod mounts;
pub mod room;
pub mod root;
pub mod scratch;
pub mod talk;
pub mod trust;
