use bootc_image_core::ops::{Request, set_unified};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  # Show what would be copied and from where, then copy it
  bootc-image --dry-run set-unified
  bootc-image set-unified";

/// Copy the booted image into bootc's storage, so that `bootc upgrade` pulls new versions into that storage
///
/// The image is identified by the digest of the booted deployment. It is taken from podman's storage if it is there, otherwise
/// from its registry. If it did not come from a registry (its name in `bootc-image list` does not begin with docker://), or the
/// registry does not have this digest, it is taken from the ostree repository.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SetUnified {}

impl From<SetUnified> for Request {
    fn from(_: SetUnified) -> Self {
        Self::SetUnified(set_unified::Request)
    }
}
