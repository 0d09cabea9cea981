//! Where plugins, and what they need, are found.

use std::path::PathBuf;

use super::configuration::Configuration;
use crate::builtin::Builtin;
use crate::places::Places;

/// Where a set finds what it needs.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The plugins that are part of this executable.
    pub builtins: Vec<Builtin>,
    /// Directories.
    pub places: Places,
    /// What the administrator says.
    pub configuration: Configuration,
    /// Directories in which programs of our own may be, in order.
    pub programs: Vec<PathBuf>,
}
