//! Where a set of plugins finds plugins, configuration and programs.

use std::path::PathBuf;

use super::configuration::Configuration;
use crate::builtin::Builtin;
use crate::places::Places;

/// Where a set of plugins finds plugins, configuration and programs.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The plugins that are built into this executable.
    pub builtins: Vec<Builtin>,
    /// Directories of plugins, grants and configuration.
    pub places: Places,
    /// The administrator's configuration.
    pub configuration: Configuration,
    /// Directories in which bootc-image's own programs are searched, in order.
    pub programs: Vec<PathBuf>,
}
