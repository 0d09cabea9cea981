//! Removing unneeded images from bootc's storage.

use bootc_image_containers_storage::Image;
use bootc_image_grammar::OwnOperation;
use bootc_image_model::image::{LocalImage, Removal};
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::in_use::InUse;
use bootc_image_stores::images::needs::Needs;
use bootc_image_stores::images::removing::{check_id, lists_of, needed_by, removal_of, remove};
use bootc_image_stores::podman;
use serde::Serialize;

use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Remove unneeded images from bootc's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Also images with names.
    pub all: bool,
}

/// Removes an unneeded image from bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// Whether images with names were requested, too.
    pub all: bool,
    /// The image to remove.
    pub image: Removal,
}

impl Resolve for Request {
    /// Selects unneeded images: those without a name, or all if `all` is set.
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let all = self.all;
        let settings = context.host.settings;
        let physical = physical(settings)?;
        let Some(store) = BootcStore::open(&physical)? else { return Ok(Resolved::default()) };
        let needs = Needs::find(&physical, settings)?;
        let contents = podman::open_store(store.root())?;
        let images = contents.images(settings.lock_limit, context.host.reporter)?;
        let used = InUse::find(&physical, settings, &contents, &images)?;
        let goes = |image: &Image| {
            (all || image.names.is_empty()) && needed_by(&needs, &used, image, &image.names, true).is_none()
        };
        let superfluous: Vec<&Image> =
            images.iter().filter(|image| goes(image) && lists_of(&images, image).all(goes)).collect();
        superfluous.iter().try_for_each(|image| check_id(&store, image))?;
        let prune = |image: &Image| {
            let image = removal_of(image, image.names.clone(), true, None);
            Operation::Prune(Prune { all, image })
        };
        let operations: Vec<Operation> = superfluous.into_iter().map(prune).collect();
        if operations.is_empty() {
            context.host.reporter.note(if all {
                "nothing to remove: every image is needed"
            } else {
                "nothing to remove: every image has a name"
            });
        }
        Ok(operations.into())
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let LocalImage { id, manifest_digest } = assumed.local();
        let manifest_digest = Some(manifest_digest);
        let image = Removal { id, manifest_digest, names: Vec::new(), whole: true, needed_by: None };
        Ok(vec![Operation::Prune(Prune { all: self.all, image })])
    }
}

impl Operate for Prune {
    const KIND: &'static str = OwnOperation::Prune.name();

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        Some(PolicyInputParts::images(seen::removed(&self.image)))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Provides(OwnOperation::Prune)
    }

    fn only_removes(&self) -> bool {
        true
    }

    fn removal(&self) -> Option<&Removal> {
        Some(&self.image)
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        Ok(Report::Removed(remove(context.host, self.image)?))
    }
}
