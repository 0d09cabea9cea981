use bootc_image_core::ops::Request;
use bootc_image_core::ops::exists::{self, Existence};
use clap::Args;

use crate::exit::{FAILED, Failure, OK, UNUSABLE};
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Copy an image to podman's storage if this host has it
  if bootc-image exists localhost/app:stable; then
      bootc-image copy-to-storage --source localhost/app:stable --target app:stable
  fi";

/// Check whether this host has an image, for use in scripts
///
/// Searches the ostree repository and bootc's storage. A bound image that the OS image lists, but that is not stored, does not
/// count. The exit code is 0 if the image exists, 1 if it does not, and 77 if a policy denies this check. It is 78 if the
/// configuration cannot be read, or if a storage cannot be read and the image is not found elsewhere; a message then says why.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Exists {
    /// Look for this image: a name as in `list`, with or without its transport, or an ID (at least 12 digits)
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
        Existence::Absent => FAILED,
        Existence::Unknown(error) => ui.error(error, error.hint().as_deref(), UNUSABLE),
    })
}
