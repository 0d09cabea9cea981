use bootc_image_core::operation::Request;
use clap::Args;

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

impl CopyToStorage {
    pub(crate) fn into_request(self) -> Request {
        Request::CopyToStorage { source: self.source, target: self.target }
    }
}
