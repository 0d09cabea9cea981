//! The administrator's yes to a plugin.

use serde::Serialize;

use crate::capability::Capability;
use crate::plugin::PluginId;

/// What a plugin is there for: one that judges is missed when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It judges.
    Policy,
    /// It formats lists.
    Format,
    /// It plans commands.
    Command,
}

impl Role {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Policy, Self::Format, Self::Command];

    /// Its name, in grants and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Format => "format",
            Self::Command => "command",
        }
    }
}

/// The administrator's yes to a plugin: to this component, and to what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Which plugin.
    pub plugin: PluginId,
    /// Digest of its component in lower-case hexadecimal.
    pub sha256: String,
    /// Digest of its manifest: what it is asked about and what it claims.
    pub manifest: String,
    /// Whether it is native code, which runs with full authority.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// What it was approved as.
    pub role: Role,
    /// Whether everything is denied where it isn't, of a policy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    /// What it may ask the host for, sorted.
    pub capabilities: Vec<Capability>,
}
