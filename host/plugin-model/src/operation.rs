use crate::{Pair, find};

/// What is judged.
///
/// Policies get texts. The host itself has static keys, an [`ImageRole`] and names of a type of its own, which as JSON are the
/// same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Operation<Key = String, Role = String, Name = Reference> {
    /// Such as `copy-to-storage` or `cmd pull`; an open set.
    pub kind: String,
    /// Names the operation in records: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Of `cmd`: what podman would get after the subcommand.
    pub argv: Vec<String>,
    /// The images that it is about.
    pub images: Vec<Image<Key, Role, Name>>,
    /// Everything else, sorted by key; the keys are described in the header.
    pub attrs: Vec<Pair<Key>>,
}

/// An image that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Image<Key = String, Role = String, Name = Reference> {
    /// `source`, `target` or `image`; an open set.
    pub role: Role,
    /// Its name as asked for, none if it was asked for by its id.
    pub name: Option<Name>,
    /// The manifest's digest that will run.
    pub digest: Option<String>,
    /// What else is known.
    pub attrs: Vec<Pair<Key>>,
}

/// The name of an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Reference {
    /// All of it, with the transport.
    pub canonical: String,
    /// `docker` for registries.
    pub transport: String,
    /// Host name and port; empty if the transport knows none.
    pub registry: String,
    /// Path within the registry; else all that follows the transport.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest in the name, if there is one.
    pub digest: Option<String>,
}

/// The part that an image plays in an operation. What a plugin gets is the name, for a newer host may have more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ImageRole {
    /// It is read or fetched.
    Source,
    /// It is written or sent to.
    Target,
    /// It is named otherwise.
    Image,
}

impl<Key: AsRef<str>, Role, Name> Operation<Key, Role, Name> {
    /// One attribute, none if it isn't known.
    pub fn attr(&self, key: &str) -> Option<&str> {
        find(&self.attrs, key)
    }
}

impl ImageRole {
    /// As plugins see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Image => "image",
        }
    }
}
