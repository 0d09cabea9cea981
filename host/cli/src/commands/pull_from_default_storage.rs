use bootc_image_core::operation::Request;
use clap::Args;

/// Copy an image of podman's storage to bootc's
#[derive(Debug, Args)]
pub(crate) struct PullFromDefaultStorage {
    /// Its name, as in `podman image list`
    image: String,
}

impl PullFromDefaultStorage {
    pub(crate) fn into_request(self) -> Request {
        Request::PullFromDefaultStorage { image: self.image }
    }
}
