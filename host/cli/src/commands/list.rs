use bootc_image_core::operation::{ListType, Request};
use clap::{Args, ValueEnum};

use crate::render::Format;

/// List the images of this host
///
/// Reads the stores themselves: it starts no other program, and needs root only for what only root can read.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which images
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    image_type: Option<Type>,
    /// How the list looks
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    /// Everything (the default)
    All,
    /// In the ostree repository and in bootc's container storage
    Host,
    /// In bootc's container storage
    Unified,
    /// Named in /usr/lib/bootc/bound-images.d
    Logical,
}

impl List {
    pub(crate) fn into_request(self) -> (Request, Format) {
        let image_type = self.image_type.map(|image_type| match image_type {
            Type::All => ListType::All,
            Type::Host => ListType::Host,
            Type::Unified => ListType::Unified,
            Type::Logical => ListType::Logical,
        });
        (Request::List { image_type }, self.format)
    }
}
