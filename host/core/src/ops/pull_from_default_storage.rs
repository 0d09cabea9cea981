//! Copying images from podman's storage to bootc's. A name is resolved to an id, and the image is copied by that id.

use bootc_image_containers_storage::{Image, Store};
use bootc_image_model::capability::PULLS_IMAGES;
use bootc_image_model::image::LocalImage;
use bootc_image_model::policy_input::Role;
use bootc_image_model::reference::{InvalidReference, Reference};
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::{physical, writable_physical};
use bootc_image_stores::images::local;
use bootc_image_stores::images::names::{called, first_meaning, for_this_host, local_image, meanings};
use bootc_image_stores::images::needs::note_until_upgrade;
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::podman;
use serde::Serialize;

use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Copy images of podman's storage to bootc's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Their names, as typed.
    pub images: Vec<String>,
}

/// Copies an image of podman's storage to bootc's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullFromDefaultStorage {
    /// The image, which is copied by its id.
    pub source: LocalImage,
    /// Its name in both storages.
    pub name: Reference,
}

/// An image was copied to bootc's storage.
#[derive(Debug)]
pub struct Pulled {
    /// Its name in bootc's storage.
    pub name: Reference,
    /// The image there.
    pub image: LocalImage,
    /// Whether it was there before.
    pub unchanged: bool,
}

impl Resolve for Request {
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        for image in &self.images {
            if meanings(image)?.iter().any(|name| name.digest().is_some()) {
                return Err(InvalidReference::Digest(image.to_owned()).into());
            }
        }
        physical(context.host.settings)?;
        let default = DefaultStore::find()?;
        let mut pulls = vec![None; self.images.len()];
        if let Some(root) = default.open()? {
            find(context, &root, &default.store(&root)?, &self.images, &mut pulls)?;
        }
        // podman lists the images of its additional storages as well.
        if pulls.contains(&None) {
            for root in default.others()? {
                find(context, &root, &podman::open_store(&root)?, &self.images, &mut pulls)?;
            }
        }
        let not_found = |name: &String| StoresError::ImageNotFound { name: name.clone(), hint: LIST_WITH };
        let pull = |(pull, name): (Option<PullFromDefaultStorage>, &String)| match pull {
            Some(pull) => Ok(Operation::PullFromDefaultStorage(pull)),
            None => Err(not_found(name)),
        };
        Ok(pulls.into_iter().zip(&self.images).map(pull).collect::<Result<Vec<_>, _>>()?.into())
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let pull = |image: &String| {
            let (source, name) = (assumed.local(), first_meaning(image)?);
            Ok(Operation::PullFromDefaultStorage(PullFromDefaultStorage { source, name }))
        };
        self.images.iter().map(pull).collect()
    }
}

impl Operate for PullFromDefaultStorage {
    const KIND: &'static str = "pull-from-default-storage";

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        let Self { source, name } = self;
        Some(PolicyInputParts::images(vec![
            seen::local(Some(name), source),
            seen::stored(Role::Target, name),
        ]))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Needs(PULLS_IMAGES)
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let Self { source, name } = self;
        let settings = context.host.settings;
        let physical = writable_physical(settings)?;
        let _alone = local::store_lock(context.host, "bootc")?;
        let is_it = |found: &Image| found.id == source.id;
        if let Some(store) = BootcStore::open(&physical)?
            && let Some(image) = Storage::Bootc(&store).held(context.host, &name, is_it)?
        {
            return Ok(Report::Pulled(Pulled { name, image, unchanged: true }));
        }
        let store = BootcStore::open_or_create(&physical, settings, context.host.reporter)?;
        local::pull(context.host, &store, &source, &name)?;
        let image = Storage::Bootc(&store).check_written(context.host, &name, is_it)?;
        note_until_upgrade(context.host, &store, &[&name]);
        Ok(Report::Pulled(Pulled { name, image, unchanged: false }))
    }
}

/// The command that gives one of them a name, for hints.
const TAG_WITH: &str = "podman image tag";
/// The hint for an image that is not there.
const LIST_WITH: &str = "to list images, run: podman image list";

/// Resolves the names that are not resolved yet in this storage.
fn find(
    context: &Context<'_>,
    root: &RootDir,
    store: &Store<'_>,
    names: &[String],
    pulls: &mut [Option<PullFromDefaultStorage>],
) -> Result<(), Error> {
    let images = store.images(context.host.settings.lock_limit, context.host.reporter)?;
    for (text, pull) in names.iter().zip(pulls).filter(|(_, pull)| pull.is_none()) {
        let found = called(&images, text)?;
        let Some((first, name)) = found.first() else { continue };
        if found.iter().any(|(image, _)| image.id != first.id) {
            let candidates = found.iter().map(|(_, name)| name.to_string()).collect();
            return Err(StoresError::Ambiguous { name: text.clone(), candidates }.into());
        }
        let image = for_this_host(&images, name, first, TAG_WITH)?;
        *pull = Some(PullFromDefaultStorage { source: local_image(root, image)?, name: name.clone() });
    }
    Ok(())
}
