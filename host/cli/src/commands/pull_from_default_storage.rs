use bootc_image_core::ops::Request;
use bootc_image_core::ops::pull_from_default_storage::{self, Pulled};
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Copy an image that was built with podman
  bootc-image pull-from-default-storage localhost/app:stable";

/// Copy images from podman's storage to bootc's storage
///
/// All images must exist and be allowed before the first one is copied. The next `bootc upgrade` removes copied images that are
/// neither bound nor the image of a deployment.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PullFromDefaultStorage {
    /// Copy these images, named as in `podman image list`
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl From<PullFromDefaultStorage> for Request {
    fn from(PullFromDefaultStorage { images }: PullFromDefaultStorage) -> Self {
        Self::PullFromDefaultStorage(pull_from_default_storage::Request { images })
    }
}

pub(super) fn show(ui: &Ui, Pulled { name, image, unchanged }: &Pulled) -> Result<u8, Failure> {
    let done = if *unchanged { "Unchanged" } else { "Pulled" };
    ui.text(&format!("{done}: {name} {}\n", image.manifest_digest))
}
