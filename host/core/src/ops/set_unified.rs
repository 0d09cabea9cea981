//! Copying the booted image into bootc's storage. Once it is there, under the name from which the host was booted, bootc updates the
//! host from that storage. The cheapest source is used: podman's storage, the registry (by the booted digest), or, if the name has no
//! registry or its registry does not have the booted image, the ostree repository.

use bootc_image_containers_storage::Image;
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{HostImage, LocalImage, UnifiedSource};
use bootc_image_model::policy_input::Role;
use bootc_image_model::reference::{DOCKER, Reference};
use bootc_image_os::processes::Program;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::host::{physical, writable_physical};
use bootc_image_stores::images::local::{self, booted_image};
use bootc_image_stores::images::names::{local_image, name_in_storage};
use bootc_image_stores::images::repair::{Fetch, Source};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::registry;
use bootc_image_stores::signatures::check_unsigned;
use serde::Serialize;

use super::pull_from_default_storage::Pulled;
use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Copy the booted image into bootc's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request;

/// Copies the booted image into bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetUnified {
    /// The booted image.
    pub image: HostImage,
    /// The source of the copy. If it is a registry that does not have the image, the ostree repository is used.
    pub from: UnifiedSource,
    /// Its name in bootc's storage.
    pub name: Reference,
}

impl Resolve for Request {
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        physical(context.host.settings)?;
        // With layered packages this is the base image, on which updates build.
        let (image, _) = booted_image(context.host.settings)?;
        let name = name_in_storage(&image.name)?;
        let from = match in_default_store(context, &image.manifest_digest)? {
            Some(local) => UnifiedSource::DefaultStore(local),
            // Its registry did not have it, and need not be asked again.
            None if was_exported(context, &image, &name)? => UnifiedSource::Host,
            None => where_it_came_from(&image, &name),
        };
        Ok(Operation::SetUnified(SetUnified { image, from, name }).into())
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let image = assumed.host(&assumed.booted);
        let name = name_in_storage(&image.name)?;
        let from = where_it_came_from(&image, &name);
        Ok(vec![Operation::SetUnified(SetUnified { image, from, name })])
    }
}

fn where_it_came_from(image: &HostImage, name: &Reference) -> UnifiedSource {
    if image.name.starts_with(DOCKER) {
        UnifiedSource::Registry { reference: name.with_digest(image.manifest_digest.clone()) }
    } else {
        UnifiedSource::Host
    }
}

/// Whether bootc's storage has the booted image under its name, copied from the ostree repository.
fn was_exported(context: &Context<'_>, image: &HostImage, name: &Reference) -> Result<bool, Error> {
    let Some(store) = BootcStore::open(&physical(context.host.settings)?)? else { return Ok(false) };
    let Some(id) = Copies::new(&context.host.settings.state).image_id(image) else { return Ok(false) };
    Ok(Storage::Bootc(&store).held(context.host, name, |found| found.id == id)?.is_some())
}

fn in_default_store(context: &Context<'_>, manifest: &Digest) -> Result<Option<LocalImage>, Error> {
    let default = DefaultStore::find()?;
    let Some(root) = default.open()? else { return Ok(None) };
    Ok(Storage::Default(&default).images(context.host, |images, others| {
        // A manifest list has no layers to copy.
        let is_it = |image: &&Image| image.is_of(manifest) && images.instances(image).is_empty();
        let Some(image) = images.iter().find(is_it) else { return Ok(None) };
        // A damaged image cannot be copied.
        let is_whole = images.damage(image, others)?.is_none();
        is_whole.then(|| local_image(&root, image)).transpose()
    })?)
}

impl Operate for SetUnified {
    const KIND: &'static str = "set-unified";

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        let source = match &self.from {
            UnifiedSource::DefaultStore(held) => seen::local(Some(&self.name), held),
            UnifiedSource::Registry { .. } | UnifiedSource::Host => seen::host(&self.image),
        };
        Some(PolicyInputParts::images(vec![source, seen::stored(Role::Target, &self.name)]))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let Self { image, from, name } = self;
        let settings = context.host.settings;
        let physical = writable_physical(settings)?;
        let _alone = match &from {
            UnifiedSource::Registry { reference } => {
                local::Locks::Fetching(local::fetch_locks(context.host, [reference])?)
            }
            _ => local::Locks::Store(local::store_lock(context.host, "bootc")?),
        };
        let known = Copies::new(&settings.state).image_id(&image);
        let is_it = |found: &Image| match &from {
            UnifiedSource::DefaultStore(local) => found.id == local.id,
            UnifiedSource::Registry { .. } => found.is_of(&image.manifest_digest),
            UnifiedSource::Host => known.as_ref() == Some(&found.id),
        };
        if let Some(store) = BootcStore::open(&physical)?
            && let Some(image) = Storage::Bootc(&store).held(context.host, &name, is_it)?
        {
            return Ok(Report::Pulled(Pulled { name, image, unchanged: true }));
        }
        Program::Skopeo.find()?;
        let store = BootcStore::open_or_create(&physical, settings, context.host.reporter)?;
        let id = match &from {
            UnifiedSource::DefaultStore(local) => {
                local::pull(context.host, &store, local, &name)?;
                Some(local.id.clone())
            }
            // The origin of a deployment may name another repository than the one that the booted image was pulled from. The
            // registry is asked only now, when policies have allowed it and the operation is recorded.
            UnifiedSource::Registry { reference } if registry::lacks(settings, reference) => {
                context.host.reporter.note(&format!(
                    "the registry does not have {reference}, the booted image; it is copied from the ostree repository instead"
                ));
                let _alone = local::store_lock(context.host, "bootc")?;
                Some(export(context, &store, &image, &name)?)
            }
            UnifiedSource::Registry { reference } => {
                fetch(context, &store, reference, &name)?;
                None
            }
            UnifiedSource::Host => Some(export(context, &store, &image, &name)?),
        };
        let image = Storage::Bootc(&store).check_written(context.host, &name, |found| match &id {
            Some(id) => found.id == *id,
            None => found.is_of(&image.manifest_digest),
        })?;
        Ok(Report::Pulled(Pulled { name, image, unchanged: false }))
    }
}

fn fetch(
    context: &Context<'_>,
    store: &BootcStore,
    reference: &Reference,
    name: &Reference,
) -> Result<(), Error> {
    context.host.reporter.progress(&format!("fetching {reference} into bootc's storage"));
    let configuration = registry::configuration(context.host.settings, reference, &[], &[])?;
    Fetch {
        from: Source::Registry(reference, &[], &[]),
        to: Storage::Bootc(store),
        id: configuration.id.as_str(),
        bytes: 0,
        scratch: &Scratch::new()?,
    }
    .copy(context.host, name, &configuration.diff_ids)
    .map_err(Error::from)
}

fn export(
    context: &Context<'_>,
    store: &BootcStore,
    image: &HostImage,
    name: &Reference,
) -> Result<String, Error> {
    // Checked again when it is copied; here it saves the export.
    check_unsigned(name)?;
    let scratch = Scratch::new()?;
    let exported = local::export(context.host, image, &scratch, &store.root().path("."))?;
    context.host.reporter.progress(&format!("copying to bootc's storage as {name}"));
    Fetch {
        from: Source::Exported(&exported.directory),
        to: Storage::Bootc(store),
        id: &exported.id,
        bytes: exported.bytes,
        scratch: &scratch,
    }
    .copy(context.host, name, &exported.diff_ids)?;
    Copies::new(&context.host.settings.state).remember(image, &exported.id)?;
    Ok(exported.id)
}
