use bootc_image_core::ops::{Request, set_unified};
use clap::Args;

/// Get the booted image into bootc's storage, so that bootc updates the host by way of it
///
/// It is taken from podman's storage if that has it, else from its registry, by the digest that is booted; an image that was
/// built on this host and is gone there is taken from the ostree repository.
#[derive(Debug, Args)]
pub(crate) struct SetUnified {}

impl From<SetUnified> for Request {
    fn from(_: SetUnified) -> Self {
        Self::SetUnified(set_unified::Request)
    }
}
