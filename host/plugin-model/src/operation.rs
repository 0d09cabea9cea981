use crate::{Pair, find};

/// The policy input of an operation.
///
/// Policies get strings. The host uses static keys, an [`ImageRole`] and its own type of names, which have the same JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Operation<Key = String, Role = String, Name = Reference> {
    /// The kind, such as `copy-to-storage` or `cmd pull`; an open set.
    pub kind: String,
    /// The operation digest, which identifies the operation in the audit record: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// For `cmd`: the arguments that podman would get after the subcommand.
    pub argv: Vec<String>,
    /// The images of the operation.
    pub images: Vec<Image<Key, Role, Name>>,
    /// Further attributes, sorted by key; the C header describes the keys.
    pub attrs: Vec<Pair<Key>>,
}

/// An image of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Image<Key = String, Role = String, Name = Reference> {
    /// `source`, `target` or `image`; an open set.
    pub role: Role,
    /// The requested name; `None` if it was requested by its id.
    pub name: Option<Name>,
    /// The digest of the manifest that will be used.
    pub digest: Option<String>,
    /// Further attributes.
    pub attrs: Vec<Pair<Key>>,
}

/// The parsed name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Reference {
    /// The whole name, with the transport.
    pub canonical: String,
    /// The transport, such as `docker` for registries.
    pub transport: String,
    /// The registry's host name and port; empty if the transport has no registry.
    pub registry: String,
    /// The path within the registry, or everything after the transport if there is no registry.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest in the name, if there is one.
    pub digest: Option<String>,
}

/// The role of an image in an operation. Plugins get it as a string, because a newer host may have more roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ImageRole {
    /// It is read or pulled.
    Source,
    /// It is written or pushed.
    Target,
    /// It is named for another reason.
    Image,
}

impl<Key: AsRef<str>, Role, Name> Operation<Key, Role, Name> {
    /// The attribute with this key; `None` if there is none.
    pub fn attr(&self, key: &str) -> Option<&str> {
        find(&self.attrs, key)
    }
}

impl ImageRole {
    /// The string that plugins get.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Image => "image",
        }
    }
}
