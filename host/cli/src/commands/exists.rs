use bootc_image_core::ops::Request;
use bootc_image_core::ops::exists::{self, Existence};
use clap::Args;

use crate::exit::{FAILED, Failure, OK, UNUSABLE};
use crate::ui::Ui;

/// Tell by the exit code whether this host has an image
///
/// For scripts: 0 means that it is there, 1 that it isn't, 78 that a store can't be read, which a message explains. The ostree
/// repository and bootc's container storage are looked at; bound images that are only named somewhere aren't there.
#[derive(Debug, Args)]
pub(crate) struct Exists {
    /// Its name, as listed or without its transport, or its id (12 digits at least)
    #[arg(value_name = "IMAGE")]
    image: String,
}

impl From<Exists> for Request {
    fn from(Exists { image }: Exists) -> Self {
        Self::Exists(exists::Exists { image })
    }
}

pub(super) fn show(ui: &Ui, existence: &Existence) -> Result<u8, Failure> {
    Ok(match existence {
        Existence::There => OK,
        Existence::NotThere => FAILED,
        Existence::Unknown(error) => {
            ui.error(error, error.hint().as_deref());
            UNUSABLE
        }
    })
}
