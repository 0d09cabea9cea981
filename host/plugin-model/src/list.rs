use crate::{Pair, find};

/// A list that is to be formatted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct List {
    /// The format that the user asked for, one of those in the manifest.
    pub format: String,
    /// The columns that the manifest names for it, in this order; so are the cells of each row.
    pub columns: Vec<String>,
    /// What else is known: `terminal`, `color`, `argument`.
    pub options: Vec<Pair>,
}

impl List {
    /// What is said under this key, if anything is.
    pub fn option(&self, key: &str) -> Option<&str> {
        find(&self.options, key)
    }
}
