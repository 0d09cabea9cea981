//! How a command ended that was made to run with a hostile plugin.

use serde::{Deserialize, Serialize};

/// What `measured` tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ending {
    /// Its exit code, if it left.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether it was killed for having used up its time.
    pub killed: bool,
    /// The most memory that it held at once, in KiB.
    pub peak_kib: u64,
    /// What it printed, on both streams.
    pub output: String,
}
