//! What records and messages say of a plugin.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Name of a plugin: lower-case ASCII letters, digits and `-`, starting with a letter, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PluginId(String);

/// Why a text isn't a [`PluginId`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid plugin id {0:?}: use lower-case letters, digits and '-', starting with a letter (at most 64 bytes)")]
pub struct InvalidPluginId(String);

impl PluginId {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidPluginId`] if it breaks the rule in the type's description.
    pub fn new(text: &str) -> Result<Self, InvalidPluginId> {
        let head = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if head && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPluginId(text.to_owned()))
        }
    }

    /// Stands for the id of a plugin whose directory has a name that can't be one.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plugin was when it was asked, for the record: who looks at that later can tell whether it would say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Its version, as its manifest has it.
    pub version: String,
    /// SHA-256 of its component or library, in lower-case hexadecimal digits.
    pub code: String,
    /// SHA-256 of its manifest.
    pub manifest: String,
    /// SHA-256 of its settings, a JSON object on one line with sorted keys.
    pub settings: String,
}

/// A plugin's own words, for the record. Already free of control characters, and capped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// One sentence, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Details by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
}

impl Said {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.attrs.is_empty()
    }
}
