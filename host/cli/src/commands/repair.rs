use bootc_image_core::operation::Request;
use clap::Args;

/// Replace the layers of images in bootc's container storage by ones that are fetched anew
///
/// Also of an image that looks whole: what is in its files isn't compared. It is fetched from podman's storage if that has the
/// same image whole, from the ostree repository if a host image became it, else from its registries, by digest. Names stay.
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
