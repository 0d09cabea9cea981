use bootc_image_core::error::Error;
use bootc_image_core::ops::{self, Request};
use bootc_image_engine::formats::{FormatClaim, Formats};
use bootc_image_model::columns::ListType;
use clap::{Args, CommandFactory as _, ValueEnum};

use super::Arguments;
use super::cmd::offered;
use crate::help::fitted;
use crate::render::ListFormat;

const EXAMPLES: &str = "\
Examples:
  # List all images of this host
  bootc-image list
  # List only the images in bootc's storage, as JSON
  bootc-image list --type unified --format json
  # List the images that a mounted system names as bound
  bootc-image list --sysroot /mnt --type logical";

/// List the images of this host
///
/// Reads the ostree repository, bootc's storage and /usr/lib/bootc/bound-images.d directly, without running podman or skopeo.
/// Without root, bootc's storage usually cannot be read: the other images are then listed, with an error and exit code 1.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_long_help = EXAMPLES)]
pub(crate) struct List {
    /// Select the images to list
    #[arg(long = "type", value_enum, default_value_t = Type::All, value_name = "TYPE")]
    image_type: Type,
    /// Choose the output format: table, json (as printed by `bootc image list --format json`), or a format of an enabled plugin
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: ListFormat,
    /// If the plugin of the format cannot be used, print a table also to a pipe or a file; the exit code is still 79
    #[arg(long)]
    format_fallback: bool,
    /// Print help, with the formats of enabled plugins
    #[arg(long, short = 'h')]
    help: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    /// Images of all three types
    All,
    /// Images of types host (in the ostree repository) and unified, like `bootc image list --type host`
    Host,
    /// Images in bootc's storage (type unified)
    Unified,
    /// Logically bound images: those linked in /usr/lib/bootc/bound-images.d
    Logical,
}

impl List {
    /// The help text, if the user asked for it. Reads only the manifests of plugins.
    pub(crate) fn help(&self, plugins: &dyn Formats) -> Result<Option<String>, Error> {
        if !self.help {
            return Ok(None);
        }
        let command = Arguments::command();
        // Plugins' text is added below, where clap does not interpret it.
        let mut command = command.mut_subcommand("list", |list| list.after_long_help(None::<&'static str>));
        command.build();
        let list = command.find_subcommand_mut("list");
        let mut text = list.map(|list| list.render_long_help().to_string()).unwrap_or_default();
        let mut of_plugins = "\nFormats of enabled plugins:\n".to_owned();
        let claims = plugins.format_claims()?;
        let spelling = |claim: &FormatClaim| match &claim.argument {
            Some(argument) => format!("{}={argument}", claim.name),
            None => claim.name.clone(),
        };
        let names: Vec<String> = claims.iter().map(spelling).collect();
        let lines = claims.iter().zip(&names).map(|(claim, name)| (&claim.plugin, &**name, &*claim.summary));
        of_plugins.push_str(&offered(lines));
        of_plugins.push_str(&format!("\n{EXAMPLES}\n"));
        text.push_str(&fitted(&of_plugins));
        Ok(Some(text))
    }

    /// The request, and the format in which the list is printed. A plugin's format declares in its manifest which columns it needs.
    pub(crate) fn into_request(self, plugins: &dyn Formats) -> (Request, ListFormat) {
        let image_type = match self.image_type {
            Type::All => ListType::All,
            Type::Host => ListType::Host,
            Type::Unified => ListType::Unified,
            Type::Logical => ListType::Logical,
        };
        let details = match &self.format {
            ListFormat::Own(_) => false,
            ListFormat::OfPlugin { name, .. } => plugins
                .format_claims()
                .into_iter()
                .flatten()
                .any(|claim| claim.name == *name && claim.columns.iter().any(|column| column.is_detail())),
        };
        let mut format = self.format;
        if let ListFormat::OfPlugin { fallback, .. } = &mut format {
            *fallback = self.format_fallback;
        }
        (Request::List(ops::list::List { image_type, details }), format)
    }
}
