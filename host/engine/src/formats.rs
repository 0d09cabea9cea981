//! Formatting lists with plugins, as the command line uses it.

use std::io::{self, Write};
use std::sync::Arc;

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::PluginSetError;
use bootc_image_model::columns::Column;
use bootc_image_model::plugin::PluginId;

/// A format of lists that a plugin provides, from its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatClaim {
    /// The plugin.
    pub plugin: PluginId,
    /// Its name, as typed after `--format`.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// The placeholder in the help for an argument typed as `NAME=ARGUMENT`; none: the format takes no argument.
    pub argument: Option<String>,
    /// The columns that it gets.
    pub columns: Vec<Column>,
    /// Whether it was granted the capability to color text on a terminal.
    pub color: bool,
}

/// How a plugin is to format a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name of the format.
    pub format: &'a str,
    /// The argument that was typed after its name and `=`.
    pub argument: Option<&'a str>,
    /// Whether the output is a terminal. The caller filters what may be written to it.
    pub terminal: bool,
    /// Whether color is wanted.
    pub color: bool,
}

/// Why a list was not formatted, or not completely. Texts of plugins in it are sanitized.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// No plugin provides the format.
    #[error("unknown format {name:?}")]
    Unknown {
        /// As typed.
        name: String,
    },
    /// The argument is wrong, missing or not accepted. Nothing was printed.
    #[error("{0}")]
    Usage(String),
    /// The plugin failed before it printed anything.
    #[error("plugin {plugin} cannot format the list: {reason}")]
    NotBegun {
        /// The plugin.
        plugin: PluginId,
        /// What happened.
        reason: String,
    },
    /// The plugin failed after it printed part of the list.
    #[error("the list is incomplete: plugin {plugin} failed while formatting it: {reason}")]
    Cut {
        /// The plugin.
        plugin: PluginId,
        /// What happened.
        reason: String,
    },
    /// Writing the output failed.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// The formats that enabled plugins provide.
pub trait Formats {
    /// Every format that an enabled plugin provides, sorted by name. Reads manifests only; never loads a component.
    ///
    /// # Errors
    /// [`PluginSetError`] if a grants file or a plugin directory cannot be read.
    fn format_claims(&self) -> Result<Vec<FormatClaim>, PluginSetError>;

    /// Has the plugin that provides the format print `rows`. Loads and runs the component in a fresh store.
    ///
    /// # Errors
    /// [`FormatError`]; its variant says whether anything was printed.
    fn format(
        &self,
        wanted: Wanted<'_>,
        rows: &Arc<Vec<ImageRow>>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError>;
}
