//! A plugin in records and messages.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Name of a plugin: lower-case ASCII letters, digits and `-`, starting with a letter, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PluginId(String);

/// An invalid [`PluginId`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid plugin id {0:?}: use lower-case letters, digits and '-', starting with a letter (at most 64 bytes)"
)]
pub struct InvalidPluginId(String);

impl PluginId {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidPluginId`] if it does not have the form that the type describes.
    pub fn new(text: &str) -> Result<Self, InvalidPluginId> {
        let head = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if head && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPluginId(text.to_owned()))
        }
    }

    /// A placeholder for a plugin whose directory name is not a valid id.
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

/// The provenance of a plugin's answer, for the audit record: with it one can tell later whether the same code and settings are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The version in its manifest.
    pub version: String,
    /// SHA-256 of its component or library, in lower-case hexadecimal digits.
    pub code: String,
    /// SHA-256 of its manifest.
    pub manifest: String,
    /// SHA-256 of its settings, a JSON object on one line with sorted keys.
    pub settings: String,
}

/// The annotations that a plugin adds to its answer, for the audit record: without control characters, and limited in size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Annotations {
    /// One sentence, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Attributes, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
}

impl Annotations {
    /// Whether there are no annotations.
    pub fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.attrs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_names_in_lower_case_are_ids() {
        for id in ["a", "a-1", &"a".repeat(64)] {
            assert_eq!(PluginId::new(id).unwrap().as_str(), id);
        }
        for id in ["", "1a", "-a", "A", "a.b", "a/b", "ä", &"a".repeat(65)] {
            let expected = format!(
                "invalid plugin id {id:?}: use lower-case letters, digits and '-', starting with a letter (at most 64 bytes)"
            );
            assert_eq!(PluginId::new(id).unwrap_err().to_string(), expected);
        }
    }
}
