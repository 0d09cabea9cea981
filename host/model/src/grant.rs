//! Approvals of plugins.

pub use bootc_image_plugin_model::PluginRole as Role;
use serde::Serialize;

use crate::capability::Capability;
use crate::plugin::PluginId;

/// The administrator's approval of a plugin: of this component, manifest and capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Which plugin.
    pub plugin: PluginId,
    /// SHA-256 of its component in lower-case hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of its manifest, which determines the operations that it judges and the commands that it provides.
    pub manifest: String,
    /// Whether it is native code, which runs with full authority.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// The role for which it was approved.
    pub role: Role,
    /// For a policy: whether every operation except `list` is denied while it is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    /// The granted capabilities, sorted.
    pub capabilities: Vec<Capability>,
}
