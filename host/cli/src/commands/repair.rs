use bootc_image_core::operation::Request;
use clap::Args;

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

impl Repair {
    pub(crate) fn into_request(self) -> Request {
        Request::Repair { images: self.images, all: self.all }
    }
}
