use bootc_image_core::ops::{Request, prune};
use clap::Args;

/// Remove images that nobody needs from bootc's container storage
///
/// Without --all those that have no name. What a deployment, a bound image, a unit or a container needs stays; if that can't be
/// determined, nothing is removed. Nobody is asked: look first with --dry-run.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Also those that have a name
    #[arg(long, short)]
    all: bool,
}

impl From<Prune> for Request {
    fn from(Prune { all }: Prune) -> Self {
        Self::Prune(prune::Request { all })
    }
}
