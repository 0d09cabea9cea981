//! Denials of operations, and kinds of errors.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::plugin::PluginId;

/// Who denied an operation. Its text is only the name, as in the audit record and in verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedBy {
    /// A validator of the host by its name, or `host`.
    Host(&'static str),
    /// A policy.
    Policy(PluginId),
    /// A wrapper plugin that was asked for a plan.
    Command(PluginId),
}

impl fmt::Display for DeniedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Policy(plugin) | Self::Command(plugin) => plugin.fmt(f),
        }
    }
}

impl Serialize for DeniedBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A denial by a validator or a plugin, before the operation has changed anything. Its text names the plugin that wrote the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{}{message}", match denied_by {
    DeniedBy::Host(_) => String::new(),
    DeniedBy::Policy(plugin) => format!("policy {plugin}: "),
    DeniedBy::Command(plugin) => format!("plugin {plugin}: "),
})]
pub struct Denial {
    /// Who denied it.
    pub denied_by: DeniedBy,
    /// Stable kebab-case code.
    pub code: String,
    /// One sentence: what was denied and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kind of an error; the command line maps each to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operation failed.
    Failed,
    /// A usage error.
    Usage,
    /// A required program is not installed.
    MissingProgram,
    /// The operation was denied.
    Denied,
    /// The configuration, a plugin or the audit record is unusable.
    Unusable,
    /// The signal with this number asked us to terminate.
    Interrupted(i32),
}
