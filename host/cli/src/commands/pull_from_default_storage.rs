use bootc_image_core::operation::Request;
use clap::Args;

/// Copy images of podman's storage to bootc's
#[derive(Debug, Args)]
pub(crate) struct PullFromDefaultStorage {
    /// Their names, as in `podman image list`; all must be there and allowed before the first one is copied
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl PullFromDefaultStorage {
    pub(crate) fn into_request(self) -> Request {
        Request::PullFromDefaultStorage { images: self.images }
    }
}
