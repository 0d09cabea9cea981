use crate::{Pair, find};

/// A request to format a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct List {
    /// The format that the user asked for, one of those in the manifest.
    pub format: String,
    /// The columns that the manifest names for this format, in the order of the cells of each row.
    pub columns: Vec<String>,
    /// Further options by key: `terminal`, `color`, `argument`.
    pub options: Vec<Pair>,
}

impl List {
    /// The option with this key, if there is one.
    pub fn option(&self, key: &str) -> Option<&str> {
        find(&self.options, key)
    }
}
