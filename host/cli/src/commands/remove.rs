use bootc_image_core::ops::{Request, remove};
use bootc_image_engine::sanitize;
use bootc_image_model::image::Removal;
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Show whether the image is needed, without removing it
  bootc-image policy explain remove quay.io/example/old:1
  # Remove the name, and the image if that is its last name
  bootc-image remove quay.io/example/old:1";

/// Remove images from bootc's storage
///
/// If an image has several names, only the given names are removed; the image is deleted with its last name. Removing an image
/// is denied if the image is bound, or if a deployment, a Quadlet unit or a container uses it. All images must exist and their
/// removal must be allowed before the first one is removed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Remove {
    /// Remove these images, given by name or ID (at least 12 digits); an ID is accepted only if the image has at most one name
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl From<Remove> for Request {
    fn from(Remove { images }: Remove) -> Self {
        Self::Remove(remove::Request { images })
    }
}

pub(super) fn show(ui: &Ui, removal: &Removal) -> Result<u8, Failure> {
    let tagged: Vec<&str> =
        removal.names.iter().map(String::as_str).filter(|name| !name.contains('@')).collect();
    let names = if tagged.is_empty() { removal.names.join(" ") } else { tagged.join(" ") };
    let done = match (removal.whole, removal.names.is_empty()) {
        (true, true) => format!("Removed: {}", removal.id),
        (true, false) => format!("Removed: {names} {}", removal.id),
        (false, _) => format!("Untagged: {names} of {}", removal.id),
    };
    ui.text(&(sanitize::sanitize(&done) + "\n"))
}
