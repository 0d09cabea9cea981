use bootc_image_core::ops::{Request, prune};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  # Show which images would be removed
  bootc-image --dry-run prune --all
  # Remove the images without a name
  bootc-image prune";

/// Remove unneeded images from bootc's storage
///
/// Without --all, only images without a name are removed. An image is kept if it is bound, or if a deployment, a Quadlet unit or
/// a container uses it. If it cannot be determined which images are needed, nothing is removed. There is no confirmation prompt:
/// run it with --dry-run first.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Prune {
    /// Remove images that have a name, too
    #[arg(long, short)]
    all: bool,
}

impl From<Prune> for Request {
    fn from(Prune { all }: Prune) -> Self {
        Self::Prune(prune::Request { all })
    }
}
