use bootc_image_core::ops::Request;
use bootc_image_core::ops::copy_to_storage::{self, Copied};
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Copy the booted image to podman's storage as localhost/bootc
  bootc-image copy-to-storage
  # Copy another image and choose the name of the copy
  bootc-image copy-to-storage --source quay.io/example/app:1 --target app:1";

/// Copy an image of this host to podman's storage
///
/// If podman's storage already has the same image under the target name, nothing is copied.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CopyToStorage {
    /// Copy this image (type host or unified), named as in `list`, with or without its transport; a name with docker:// is
    /// searched in the ostree repository only [default: exactly the booted image, even if a newer image was pulled under
    /// the same name since]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Give the copy this name in podman's storage; a short name becomes localhost/NAME [default: localhost/bootc]
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
