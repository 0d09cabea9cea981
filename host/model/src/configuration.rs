//! What the administrator has configured.

use crate::plugin::PluginId;

/// The part of the administrator's configuration that judging operations needs.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// What a delegated caller may do in addition, see `docs/reference/configuration.md`.
    pub allow_delegated: Delegated,
    /// Mandatory policies: while one of them is missing, every operation except `list` is denied.
    pub mandatory: Vec<PluginId>,
    /// Policies whose failure does not deny an operation.
    pub fail_open: Vec<PluginId>,
    /// Whether root's read-only operations are recorded too.
    pub record_reads: bool,
    /// The error in the configuration, if it could not be read completely: then only read-only operations run.
    pub broken: Option<String>,
    /// What to do about that error, if it is not clear from the file's name.
    pub fix: Option<String>,
}

/// What a delegated caller may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delegated {
    /// Use `--sysroot`.
    pub sysroot: bool,
    /// Build images, which runs code as root and reads files that the caller chooses.
    pub build: bool,
    /// Load archives, whose images and names are unknown before.
    pub load: bool,
    /// Approve and revoke plugins, including policies.
    pub plugins: bool,
}
