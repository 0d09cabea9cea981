//! The settings of this run, determined once at start. The core never reads argv, the environment or `$HOME`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::configuration::Configuration;
use crate::subject::Subject;

/// Where this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a host that booted a deployment.
    Booted,
    /// On any other host.
    NotBooted,
    /// In a container.
    Container,
}

/// The settings of this run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this process runs.
    pub place: Place,
    /// The physical root from `--sysroot`; `None` for that of the booted host.
    pub sysroot: Option<String>,
    /// The caller.
    pub subject: Subject,
    /// Whether the effective uid is 0.
    pub root: bool,
    /// The administrator's configuration.
    pub configuration: Configuration,
    /// How long to wait for a lock in order to read.
    pub lock_limit: Duration,
    /// How long to wait for a lock in order to write: longer, because other processes may be copying whole images.
    pub change_limit: Duration,
    /// The directories in which bootc-image's own programs are searched, in this order.
    pub programs: Vec<PathBuf>,
    /// The directory of persistent state.
    pub state: PathBuf,
    /// The caller's current directory, to which relative paths refer; `None` if it no longer exists.
    pub directory: Option<PathBuf>,
    /// The caller's proxy variables, the only ones of its environment that processes get.
    pub proxies: Vec<(&'static str, OsString)>,
    /// Whether operations are only judged and shown, and not run.
    pub dry_run: bool,
}
