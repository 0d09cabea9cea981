use bootc_image_core::operation::Request;
use clap::Args;

/// Copy the booted image to podman's storage
///
/// What is copied is the commit that is booted, whatever its name means by now.
#[derive(Debug, Args)]
pub(crate) struct CopyToStorage {
    /// Its name there; a short one means localhost/NAME [default: localhost/bootc]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl CopyToStorage {
    pub(crate) fn into_request(self) -> Request {
        Request::CopyToStorage { target: self.target }
    }
}
