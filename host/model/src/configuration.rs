//! What the administrator has configured.

use crate::plugin::PluginId;

/// What the administrator has configured, as far as judging needs it.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// What a delegated caller may do beyond what every caller may (D0.3).
    pub allow_delegated: Delegated,
    /// Policies that must be there: without one of them everything is denied.
    pub mandatory: Vec<PluginId>,
    /// Policies whose failing doesn't deny.
    pub fail_open: Vec<PluginId>,
    /// Whether what only reads is recorded too, if root asks.
    pub record_reads: bool,
    /// Why it isn't whole, if it isn't: then nothing runs that acts, and nothing is judged but what only looks.
    pub broken: Option<String>,
}

/// What a caller may do who is root on another's behalf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delegated {
    /// Name another system with `--sysroot`.
    pub sysroot: bool,
    /// Build, which runs code as root and reads files of the caller's choice.
    pub build: bool,
    /// Load archives, whose images and their names nobody knows before.
    pub load: bool,
    /// Approve and revoke plugins, policies among them.
    pub plugins: bool,
}
