//! Getting the booted image into bootc's own storage. Once it is there, under the name that the host was booted from, bootc
//! updates the host by way of that storage. It is taken from where it costs least: podman's storage, the registry (by the
//! digest that is booted), or, if its name is of no registry, the ostree repository itself.

use super::heal::{Fetch, Source};
use super::local::{self, booted_image, local_image};
use super::storages::Storage;
use super::{Pipeline, physical, writable_physical};
use crate::error::Error;
use crate::operation::Operation;
use crate::report::Report;
use bootc_image_containers_storage::Image;
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{HostImage, LocalImage, UnifiedSource};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_os::children::Program;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::registry;

pub(super) fn resolve(pipeline: &Pipeline<'_>) -> Result<Operation, Error> {
    physical(pipeline.settings)?;
    // Of a deployment with layered packages it is the image below: that is what updates build on.
    let (image, _) = booted_image(pipeline.settings)?;
    let name = name_in_storage(&image.name)?;
    let from = match in_default_store(pipeline, &image.manifest_digest)? {
        Some(local) => UnifiedSource::DefaultStore(local),
        None if image.name.starts_with(DOCKER) => {
            UnifiedSource::Registry { reference: name.with_digest(image.manifest_digest.clone()) }
        }
        None => UnifiedSource::Host,
    };
    Ok(Operation::SetUnified { image, from, name })
}

/// Under which name a host image, named with its transport, is kept in a storage.
pub(super) fn name_in_storage(image: &str) -> Result<Reference, Error> {
    if let Some(rest) = image.strip_prefix(DOCKER) {
        return Ok(Reference::of_docker(rest)?.with_default_tag());
    }
    match image.strip_prefix(CONTAINERS_STORAGE) {
        Some(rest) => Ok(Reference::parse_local(rest)?),
        None => Err(Error::NoName(image.to_owned())),
    }
}

fn in_default_store(pipeline: &Pipeline<'_>, manifest: &Digest) -> Result<Option<LocalImage>, Error> {
    let default = DefaultStore::find()?;
    let Some(root) = default.open()? else { return Ok(None) };
    Storage::Default(&default).images(pipeline, |images, others| {
        let Some(image) = images.iter().find(|image| image.is_of(manifest)) else { return Ok(None) };
        // From one that is damaged nothing is to be had.
        let is_whole = images.damage(image, others)?.is_none();
        is_whole.then(|| local_image(&root, image)).transpose()
    })
}

pub(super) fn execute(
    pipeline: &Pipeline<'_>,
    image: HostImage,
    from: UnifiedSource,
    name: Reference,
) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let physical = writable_physical(settings)?;
    let _alone = match &from {
        UnifiedSource::Registry { reference } => {
            local::Held::Fetching(local::fetching(pipeline, [reference])?)
        }
        _ => local::Held::Store(local::alone(pipeline, "bootc")?),
    };
    let copies = Copies::new(&settings.state);
    let known = copies.image_id(&image);
    let is_it = |found: &Image| match &from {
        UnifiedSource::DefaultStore(local) => found.id == local.id,
        UnifiedSource::Registry { .. } => found.is_of(&image.manifest_digest),
        UnifiedSource::Host => known.as_ref() == Some(&found.id),
    };
    if let Some(store) = BootcStore::open(&physical)?
        && let Some(image) = Storage::Bootc(&store).held(pipeline, &name, is_it)?
    {
        return Ok(Report::Pulled { name, image, unchanged: true });
    }
    Program::Skopeo.find()?;
    let store = BootcStore::open_or_create(&physical, settings, pipeline.talk)?;
    let id = match &from {
        UnifiedSource::DefaultStore(local) => {
            local::pull(pipeline, &store, local, &name)?;
            Some(local.id.clone())
        }
        UnifiedSource::Registry { reference } => {
            fetch(pipeline, &store, reference, &name)?;
            None
        }
        UnifiedSource::Host => {
            let id = export(pipeline, &store, &image, &name)?;
            copies.remember(&image, &id)?;
            Some(id)
        }
    };
    let image = Storage::Bootc(&store).check_written(pipeline, &name, |found| match &id {
        Some(id) => found.id == *id,
        None => found.is_of(&image.manifest_digest),
    })?;
    Ok(Report::Pulled { name, image, unchanged: false })
}

fn fetch(
    pipeline: &Pipeline<'_>,
    store: &BootcStore,
    reference: &Reference,
    name: &Reference,
) -> Result<(), Error> {
    pipeline.talk.progress(&format!("fetching {reference} to bootc's storage"));
    let configuration = registry::configuration(pipeline.settings, reference, &[], &[])?;
    Fetch {
        from: Source::Registry(reference, &[], &[]),
        to: Storage::Bootc(store),
        id: configuration.id.as_str(),
        bytes: 0,
        scratch: &Scratch::new()?,
    }
    .copy(pipeline, name, &configuration.diff_ids)
}

fn export(
    pipeline: &Pipeline<'_>,
    store: &BootcStore,
    image: &HostImage,
    name: &Reference,
) -> Result<String, Error> {
    let scratch = Scratch::new()?;
    let exported = local::export(pipeline, image, &scratch, &store.root().path("."))?;
    pipeline.talk.progress(&format!("copying to bootc's storage as {name}"));
    Fetch {
        from: Source::Exported(&exported.directory),
        to: Storage::Bootc(store),
        id: &exported.id,
        bytes: exported.bytes,
        scratch: &scratch,
    }
    .copy(pipeline, name, &exported.diff_ids)?;
    Ok(exported.id)
}
