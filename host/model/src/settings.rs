//! What the outside world says, resolved once at start. The core never looks at argv, the environment or `$HOME`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::configuration::Configuration;
use crate::subject::Subject;

/// Where this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a system started from a deployment.
    Booted,
    /// On some other system.
    NotBooted,
    /// In a container.
    Container,
}

/// Everything resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this process runs.
    pub place: Place,
    /// The physical root named with `--sysroot`; none: the booted system's.
    pub sysroot: Option<String>,
    /// Who asks.
    pub subject: Subject,
    /// Whether the effective uid is 0.
    pub root: bool,
    /// The administrator's word.
    pub configuration: Configuration,
    /// How long to wait for somebody else's lock in order to read.
    pub lock_limit: Duration,
    /// How long to wait for somebody else's lock in order to change something: others may be copying whole images.
    pub change_limit: Duration,
    /// Directories in which programs of our own may be, in order.
    pub programs: Vec<PathBuf>,
    /// Where is kept what must last.
    pub state: PathBuf,
    /// Where names of files begin that don't begin at the root: the caller's current directory, if it is still there.
    pub directory: Option<PathBuf>,
    /// Proxy variables of the caller, the only ones that children get.
    pub proxies: Vec<(&'static str, OsString)>,
    /// Judge and explain, but run nothing.
    pub dry_run: bool,
}
