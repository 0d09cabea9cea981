//! Listing images from three places, without starting podman. If a place cannot be read, the problem is reported and the others are
//! listed.

use std::sync::Arc;

use bootc_image_containers_storage::Image;
use bootc_image_model::capability::LISTS_IMAGES;
use bootc_image_model::columns::{ImageType, ListType};
use bootc_image_model::settings::{Place, Settings};
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::bound::{Bound, bound_images};
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::podman;
use bootc_image_stores::sysroot;
use bootc_image_stores::system::System;
use serde::Serialize;

use super::seen::PolicyInputParts;
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;
use crate::listing::{ImageRow, Listing, More};

/// Lists images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct List {
    /// Which ones.
    pub image_type: ListType,
    /// Whether to list more than names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub details: bool,
}

impl Resolve for List {
    fn acts(&self) -> bool {
        false
    }

    fn resolve(&self, _: &Context<'_>) -> Result<Resolved, Error> {
        Ok(Operation::List(*self).into())
    }

    fn assume(&self, _: &Assumed) -> Result<Vec<Operation>, Error> {
        Ok(vec![Operation::List(*self)])
    }
}

impl Operate for List {
    const KIND: &'static str = "list";

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        Some(PolicyInputParts::images(Vec::new()))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Needs(LISTS_IMAGES)
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        self.list(context.host.settings, context.host.reporter).map(Report::Listing)
    }
}

impl List {
    pub(crate) fn list(self, settings: &Settings, reporter: &dyn Reporter) -> Result<Listing, Error> {
        let Self { image_type, details } = self;
        let wants = |types: &[ListType]| image_type == ListType::All || types.contains(&image_type);
        let mut listing = Listing::default();
        let sysroot = match (&settings.sysroot, settings.place) {
            (None, Place::NotBooted | Place::Container) => match image_type {
                ListType::All | ListType::Logical => None,
                ListType::Host | ListType::Unified => return Err(Error::ListNotBooted),
            },
            _ => match physical(settings) {
                Ok(sysroot) => Some(sysroot),
                Err(problem) => {
                    listing.problems.push(problem.into());
                    None
                }
            },
        };
        if let Some(physical) = &sysroot {
            if wants(&[ListType::Host]) {
                listing.take(ImageType::Host, host(physical, details));
            }
            if wants(&[ListType::Host, ListType::Unified]) {
                listing.take(ImageType::Unified, unified(physical, settings, details, reporter));
            }
        }
        if wants(&[ListType::Logical]) {
            match (&settings.sysroot, &sysroot) {
                (Some(_), Some(physical)) => listing.take(ImageType::Logical, logical_of_default(physical)),
                // The problem is in the list already.
                (Some(_), None) => {}
                (None, _) => {
                    listing.take(
                        ImageType::Logical,
                        System::running()
                            .and_then(|system| bound_images(&system))
                            .map(bound)
                            .map_err(Error::from),
                    );
                }
            }
        }
        listing.rows.sort_unstable_by(|a, b| (a.image_type, &a.image).cmp(&(b.image_type, &b.image)));
        listing.rows.dedup_by(|a, b| (a.image_type, &a.image) == (b.image_type, &b.image));
        Ok(listing)
    }
}

/// Names with their details, and problems.
type Found = Result<(Vec<(String, More)>, Vec<Error>), Error>;

fn names_only(names: impl IntoIterator<Item = String>) -> Vec<(String, More)> {
    names.into_iter().map(|name| (name, More::Nothing)).collect()
}

fn bound(bound: Bound) -> (Vec<(String, More)>, Vec<Error>) {
    (names_only(bound.images), bound.problems.into_iter().map(|problem| problem.error.into()).collect())
}

impl Listing {
    fn take(&mut self, image_type: ImageType, found: Found) {
        match found {
            Ok((names, problems)) => {
                let row = |(image, more)| ImageRow { image_type, image, more };
                self.rows.extend(names.into_iter().map(row));
                self.problems.extend(problems);
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn host(physical: &RootDir, details: bool) -> Found {
    if sysroot::is_composefs(physical)? {
        return Err(StoresError::Composefs.into());
    }
    let repository = Repository::open(physical)?;
    let (refs, problems) = repository.image_refs()?;
    let mut problems: Vec<Error> = problems.into_iter().map(Error::from).collect();
    let mut images = Vec::with_capacity(refs.len());
    for image in refs {
        // A damaged image is listed, too.
        let details = details.then(|| repository.details(&image.commit)).transpose();
        let more = match details {
            Ok(details) => details.map_or(More::Nothing, |details| More::Known(Box::new(details))),
            Err(problem) => {
                problems.push(problem.into());
                More::Nothing
            }
        };
        images.push((image.name, more));
    }
    Ok((images, problems))
}

fn unified(physical: &RootDir, settings: &Settings, details: bool, reporter: &dyn Reporter) -> Found {
    let Some(store) = BootcStore::open(physical)? else { return Ok((Vec::new(), Vec::new())) };
    let contents = podman::open_store(store.root())?;
    let images = contents.images(settings.lock_limit, reporter)?;
    if !details {
        let names = images.iter().flat_map(|image| image.listed_names()).map(str::to_owned);
        return Ok((names_only(names), Vec::new()));
    }
    let inventory = Arc::new(images.into_inventory()?);
    let of_image = |(number, image): (u32, &Image)| {
        let more = More::Indexed(inventory.clone(), number);
        image.listed_names().map(|name| (name.to_owned(), more.clone())).collect::<Vec<_>>()
    };
    Ok(((0..).zip(inventory.iter()).flat_map(of_image).collect(), Vec::new()))
}

/// Bound images of the default deployment, for `--sysroot`.
fn logical_of_default(physical: &RootDir) -> Found {
    let deployment = sysroot::default(physical)?;
    let mut all = Bound::default();
    for system in System::of_deployment(physical, &deployment)? {
        let Bound { images, problems } = bound_images(&system)?;
        all.images.extend(images);
        all.problems = problems;
    }
    Ok(bound(all))
}
