use bootc_image_core::ops::Request;
use bootc_image_core::ops::copy_to_storage::{self, Copied};
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

/// Copy an image of this host to podman's storage
///
/// The same image copied twice is the same image: nothing is done the second time.
#[derive(Debug, Args)]
pub(crate) struct CopyToStorage {
    /// Which host or unified image, as listed or without its transport [default: the booted commit, whatever its name means by now]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Its name there; a short one means localhost/NAME [default: localhost/bootc]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl From<CopyToStorage> for Request {
    fn from(CopyToStorage { source, target }: CopyToStorage) -> Self {
        Self::CopyToStorage(copy_to_storage::Request { source, target })
    }
}

pub(super) fn show(ui: &Ui, Copied { target, image, unchanged }: &Copied) -> Result<u8, Failure> {
    let done = if *unchanged { "Unchanged" } else { "Copied" };
    ui.text(&format!("{done}: containers-storage:{target} {}\n", image.manifest_digest))
}
