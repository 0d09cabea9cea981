/// The role of a plugin. A manifest gives it one; a native library may implement several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum PluginRole {
    /// It judges operations.
    Policy,
    /// It formats lists.
    Format,
    /// It plans subcommands of `cmd` (a wrapper).
    Command,
}

impl PluginRole {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Policy, Self::Format, Self::Command];

    /// Its name in manifests, grants and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Format => "format",
            Self::Command => "command",
        }
    }
}
