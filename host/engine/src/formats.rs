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

/// Why a list was not formatted. What was written until then must not be printed. Texts of plugins in it are sanitized.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// No plugin provides the format.
    #[error("unknown format {name:?}")]
    Unknown {
        /// As typed.
        name: String,
        /// Plugins whose manifests are invalid. One of them may be meant to provide it.
        broken: Vec<String>,
    },
    /// The argument is wrong, missing or not accepted.
    #[error("{reason}")]
    Usage {
        /// What is wrong.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The plugin cannot be used, or failed.
    #[error("plugin {plugin} cannot format the list: {reason}")]
    Failed {
        /// The plugin.
        plugin: PluginId,
        /// What happened.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Writing the output failed.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl FormatError {
    /// A format that takes no argument was given one.
    pub fn no_argument(format: &str) -> Self {
        Self::Usage {
            reason: format!("the format {format} takes no argument"),
            hint: Some("see which formats take an argument with: bootc-image list --help".to_owned()),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
            Self::Unknown { .. } | Self::Output(_) => None,
        }
    }
}

/// The formats that enabled plugins provide.
pub trait Formats {
    /// Every format that an enabled plugin provides, sorted by name. Reads manifests only; never loads a component.
    ///
    /// # Errors
    /// [`PluginSetError`] if a grants file or a plugin directory cannot be read.
    fn format_claims(&self) -> Result<Vec<FormatClaim>, PluginSetError>;

    /// Has the plugin that provides the format write `rows` to `out`. Loads and runs the component in a fresh store.
    ///
    /// # Errors
    /// [`FormatError`]; a part of the list may have been written by then.
    fn format(
        &self,
        wanted: Wanted<'_>,
        rows: &Arc<Vec<ImageRow>>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError>;
}
