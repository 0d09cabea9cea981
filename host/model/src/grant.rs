//! The administrator's yes to a plugin.

pub use bootc_image_plugin_model::PluginRole as Role;
use serde::Serialize;

use crate::capability::Capability;
use crate::plugin::PluginId;

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
