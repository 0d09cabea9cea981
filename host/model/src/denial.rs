//! Refusals.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::plugin::PluginId;

/// Who refused. As text it is the name alone, as in records and in verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The host itself: which of its validators, or `host`.
    Host(&'static str),
    /// A policy.
    Policy(PluginId),
    /// A plugin that was asked for a plan.
    Command(PluginId),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Policy(plugin) | Self::Command(plugin) => plugin.fmt(f),
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A validator's or a plugin's no. What was refused has touched nothing. As text it names the plugin whose words these are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{}{message}", match by {
    By::Host(_) => String::new(),
    By::Policy(plugin) => format!("policy {plugin}: "),
    By::Command(plugin) => format!("plugin {plugin}: "),
})]
pub struct Denial {
    /// Who refused.
    pub by: By,
    /// Stable kebab-case code.
    pub code: String,
    /// One sentence: what was refused and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of error it is; the command line maps each to one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It failed.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// A program that is needed isn't there.
    MissingProgram,
    /// A policy said no.
    Denied,
    /// The configuration, a plugin or the record can't be used.
    Unusable,
    /// The signal with this number asked us to end.
    Interrupted(i32),
}
