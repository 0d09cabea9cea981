use bootc_image_core::ops::Request;
use bootc_image_core::ops::repair::{self, Repaired};
use bootc_image_engine::sanitize;
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Repair one image
  bootc-image repair quay.io/example/app:1
  # Repair every image in bootc's storage, for example after a disk error
  bootc-image repair --all";

/// clap would show IMAGE and --all as optional, but one of them is required.
const USAGE: &str = "\
bootc-image repair [OPTIONS] <IMAGE>...
       bootc-image repair [OPTIONS] --all";

/// Fetch the layers of images in bootc's storage again and replace them
///
/// All layers are replaced, because changed contents of files in a layer are not detected. An image is fetched from podman's
/// storage if a complete copy is there, from the ostree repository if the image was copied from a host image, and otherwise from
/// its registries, by digest. All images must exist and be allowed before the first one is repaired.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Repair {
    /// Repair these images, given by name or ID (at least 12 digits)
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "IMAGE")]
    images: Vec<String>,
    /// Repair every image in bootc's storage
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
