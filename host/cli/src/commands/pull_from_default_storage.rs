use bootc_image_core::ops::Request;
use bootc_image_core::ops::pull_from_default_storage::{self, Pulled};
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

/// Copy images of podman's storage to bootc's
#[derive(Debug, Args)]
pub(crate) struct PullFromDefaultStorage {
    /// Their names, as in `podman image list`; all must be there and allowed before the first one is copied
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
