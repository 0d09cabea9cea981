use bootc_image_core::error::Error;
use bootc_image_core::ops::{self, Request};
use bootc_image_engine::formats::{FormatClaim, Formats};
use bootc_image_model::columns::ListType;
use clap::{Args, CommandFactory as _, ValueEnum};

use super::Arguments;
use super::cmd::offered;
use crate::render::ListFormat;

/// List the images of this host
///
/// Reads the stores themselves: it starts no other program, and needs root only for what only root can read.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct List {
    /// Which images
    #[arg(long = "type", value_enum, default_value_t = Type::All, value_name = "TYPE")]
    image_type: Type,
    /// How the list looks: table, json (bootc's own), or what a plugin offers
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: ListFormat,
    /// Print help, with the formats that plugins offer
    #[arg(long, short = 'h')]
    help: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    /// Everything
    All,
    /// In the ostree repository and in bootc's container storage
    Host,
    /// In bootc's container storage
    Unified,
    /// Named in /usr/lib/bootc/bound-images.d
    Logical,
}

impl List {
    /// The help that was asked for, if it was. Reads manifests only.
    pub(crate) fn help(&self, plugins: &dyn Formats) -> Result<Option<String>, Error> {
        if !self.help {
            return Ok(None);
        }
        let mut command = Arguments::command();
        command.build();
        let list = command.find_subcommand_mut("list");
        let mut text = list.map(|list| list.render_long_help().to_string()).unwrap_or_default();
        text.push_str("\nFormats of enabled plugins:\n");
        let claims = plugins.format_claims()?;
        let spelt = |claim: &FormatClaim| match &claim.argument {
            Some(argument) => format!("{}={argument}", claim.name),
            None => claim.name.clone(),
        };
        let names: Vec<String> = claims.iter().map(spelt).collect();
        let lines = claims.iter().zip(&names).map(|(claim, name)| (&claim.plugin, &**name, &*claim.summary));
        text.push_str(&offered(lines));
        Ok(Some(text))
    }

    /// What is asked for. Manifests say what a plugin's format needs to know.
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
        (Request::List(ops::list::List { image_type, details }), self.format)
    }
}
