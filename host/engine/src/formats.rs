//! How plugins format lists, as whoever prints them sees it.

use std::io::{self, Write};
use std::sync::Arc;

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::PluginSetError;
use bootc_image_model::columns::Column;
use bootc_image_model::plugin::PluginId;

/// A manifest's word that a plugin offers a format of lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatClaim {
    /// Who offers it.
    pub plugin: PluginId,
    /// Its name, as typed after `--format`.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// What may follow its name after `=`, as help calls it; none: nothing may.
    pub argument: Option<String>,
    /// The columns that it wants.
    pub columns: Vec<Column>,
    /// Whether it was granted to colour text on a terminal.
    pub color: bool,
}

/// A list as it is wanted of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name of the format.
    pub format: &'a str,
    /// What was typed after its name and `=`.
    pub argument: Option<&'a str>,
    /// Whether the output leads to a terminal; whoever owns the output sees to what may get there.
    pub terminal: bool,
    /// Whether colour gets there.
    pub color: bool,
}

/// Why a list wasn't formatted, or not to its end. What stood in a plugin's text is harmless already.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// No plugin offers it.
    #[error("unknown format {name:?}")]
    Unknown {
        /// As typed.
        name: String,
    },
    /// The argument makes no sense, or there should be one, or none. Nothing was printed.
    #[error("{0}")]
    Usage(String),
    /// Nothing was printed.
    #[error("plugin {plugin} cannot format the list: {reason}")]
    NotBegun {
        /// Who should have.
        plugin: PluginId,
        /// What happened, for a person.
        reason: String,
    },
    /// What was printed isn't the whole list.
    #[error("the list is incomplete: plugin {plugin} failed while formatting it: {reason}")]
    Cut {
        /// Who stopped.
        plugin: PluginId,
        /// What happened, for a person.
        reason: String,
    },
    /// The output couldn't be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// All formats of usable plugins.
pub trait Formats {
    /// Every format that an enabled plugin offers, sorted by name. Reads manifests only; never loads a component.
    ///
    /// # Errors
    /// [`PluginSetError`] if it can't be told what there is.
    fn format_claims(&self) -> Result<Vec<FormatClaim>, PluginSetError>;

    /// Has the plugin that offers a format print `rows`. Loads and runs the component in a fresh store.
    ///
    /// # Errors
    /// [`FormatError`], which says whether anything was printed.
    fn format(
        &self,
        wanted: Wanted<'_>,
        rows: &Arc<Vec<ImageRow>>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError>;
}
