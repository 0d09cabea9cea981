use bootc_image_core::ops::Request;
use bootc_image_core::ops::repair::{self, Repaired};
use bootc_image_engine::sanitize;
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

/// Fetch the layers of images in bootc's container storage again and replace them
///
/// This also works for an image that looks whole, since file contents aren't compared. The image is fetched from podman's
/// storage if that has a whole copy, from the ostree repository if it was made from a host image, otherwise from the registries
/// of its names, by digest.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Their names or ids (12 digits at least); all must be there and allowed before the first one is repaired
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "IMAGE")]
    images: Vec<String>,
    /// Every image of the storage
    #[arg(long)]
    all: bool,
}

impl From<Repair> for Request {
    fn from(Repair { images, all }: Repair) -> Self {
        Self::Repair(repair::Request { images, all })
    }
}

pub(super) fn show(ui: &Ui, Repaired { image, layers }: &Repaired) -> Result<u8, Failure> {
    let manifest = image.manifest_digest.as_ref().map(|digest| format!(" {digest}"));
    let layers = if *layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") };
    let done = format!("Repaired: {image}{} ({layers})", manifest.unwrap_or_default());
    ui.text(&(sanitize::sanitize(&done) + "\n"))
}
