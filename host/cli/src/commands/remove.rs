use bootc_image_core::ops::{Request, remove};
use bootc_image_engine::sanitize;
use bootc_image_model::image::Removal;
use clap::Args;

use crate::exit::Failure;
use crate::ui::Ui;

/// Remove images from bootc's container storage
///
/// An image with several names loses those that are named, and is gone with its last one. What a deployment, a bound image, a
/// unit or a container needs stays.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Their names or ids (12 digits at least); all must be there and allowed before the first one is removed
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
