//! Copying an image of podman's storage to bootc's: resolved to its id, copied by its id.

use super::local::{self, called, local_image, meanings};
use super::needs::note_until_upgrade;
use super::storages::Storage;
use super::{Pipeline, physical, writable_physical};
use crate::error::Error;
use crate::operation::Operation;
use crate::report::Report;
use bootc_image_containers_storage::{Image, Store};
use bootc_image_model::image::LocalImage;
use bootc_image_model::reference::{InvalidReference, Reference};
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::default_store::DefaultStore;

/// How images of podman's storage are listed.
const LIST_WITH: &str = "podman image list";

pub(super) fn resolve(pipeline: &Pipeline<'_>, image: &str) -> Result<Operation, Error> {
    if meanings(image)?.iter().any(|name| name.digest().is_some()) {
        return Err(InvalidReference::Digest(image.to_owned()).into());
    }
    physical(pipeline.settings)?;
    let default = DefaultStore::find()?;
    if let Some(root) = default.open()?
        && let Some(operation) = find(pipeline, &root, &default.store(&root)?, image)?
    {
        return Ok(operation);
    }
    // podman shows the images of its additional storages, too.
    for root in default.others()? {
        if let Some(operation) = find(pipeline, &root, &Store::open(&root)?, image)? {
            return Ok(operation);
        }
    }
    Err(Error::ImageNotFound { name: image.to_owned(), list_with: LIST_WITH })
}

fn find(
    pipeline: &Pipeline<'_>,
    root: &RootDir,
    store: &Store<'_>,
    image: &str,
) -> Result<Option<Operation>, Error> {
    let images = store.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let found = called(&images, image)?;
    let Some((first, name)) = found.first() else { return Ok(None) };
    if found.iter().any(|(image, _)| image.id != first.id) {
        let candidates = found.iter().map(|(_, name)| name.to_string()).collect();
        return Err(Error::Ambiguous { name: image.to_owned(), candidates });
    }
    Ok(Some(Operation::PullFromDefaultStorage { source: local_image(root, first)?, name: name.clone() }))
}

pub(super) fn execute(pipeline: &Pipeline<'_>, source: LocalImage, name: Reference) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let physical = writable_physical(settings)?;
    let _alone = local::alone(pipeline, "bootc")?;
    let is_it = |found: &Image| found.id == source.id;
    if let Some(store) = BootcStore::open(&physical)?
        && let Some(image) = Storage::Bootc(&store).held(pipeline, &name, is_it)?
    {
        return Ok(Report::Pulled { name, image, unchanged: true });
    }
    let store = BootcStore::open_or_create(&physical, settings, pipeline.talk)?;
    local::pull(pipeline, &store, &source, &name)?;
    let image = Storage::Bootc(&store).check_written(pipeline, &name, is_it)?;
    note_until_upgrade(pipeline, &store, &[&name]);
    Ok(Report::Pulled { name, image, unchanged: false })
}
