//! `export`: ostree-ext exports an image by its ref, but what is asked for is a commit. So a throw-away repository is laid
//! over the real one: it has one ref, to that commit, and everything else comes from its parent. Nothing is written to
//! the real one.

use std::error::Error;
use std::fs;
use std::path::Path;

use ostree_ext::container::store::{ExportToOCIOpts, export as export_image};
use ostree_ext::container::{ImageReference, Transport};
use ostree_ext::ostree::{Repo, RepoMode};
use ostree_ext::{gio, refescape};

use crate::oci;

/// The repository.
const REPOSITORY: &str = "/proc/self/fd/3";
/// The directory to fill.
const DIRECTORY: &str = "/proc/self/fd/4";
/// Where ostree-ext keeps image refs.
const IMAGE_REFS: &str = "ostree/container/image";

pub(crate) fn export(commit: &str) -> Result<(), Box<dyn Error>> {
    let overlay = Path::new(DIRECTORY).join("overlay");
    let image = ImageReference { transport: Transport::OciDir, name: "image".to_owned() };
    let repository = lay_over(&overlay, commit, &image)?;

    let target = ImageReference { transport: Transport::OciDir, name: DIRECTORY.to_owned() };
    let mut options = ExportToOCIOpts::default();
    options.skip_compression = true;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime
        .block_on(export_image(&repository, &image, &target, Some(options)))
        .map_err(|error| format!("{error:#}"))?;

    fs::remove_dir_all(&overlay)?;
    oci::check_layers(Path::new(DIRECTORY))?;
    oci::keep_diff_ids_of_layers(Path::new(DIRECTORY))
}

fn lay_over(overlay: &Path, commit: &str, image: &ImageReference) -> Result<Repo, Box<dyn Error>> {
    let none = gio::Cancellable::NONE;
    fs::create_dir(overlay)?;
    let repository = Repo::new_for_path(overlay);
    repository.create(RepoMode::Bare, none)?;
    let config = repository.copy_config();
    config.set_string("core", "parent", REPOSITORY);
    repository.write_config(&config)?;

    let repository = Repo::new_for_path(overlay);
    repository.open(none)?;
    let name = refescape::prefix_escape_for_ref(IMAGE_REFS, &image.to_string())
        .map_err(|error| error.to_string())?;
    repository.set_ref_immediate(None, &name, Some(commit), none)?;
    Ok(repository)
}
