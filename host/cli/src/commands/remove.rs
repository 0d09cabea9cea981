use bootc_image_core::operation::Request;
use clap::Args;

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

impl Remove {
    pub(crate) fn into_request(self) -> Request {
        Request::Remove { images: self.images }
    }
}
