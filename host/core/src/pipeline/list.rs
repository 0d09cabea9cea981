//! Listing: three places, read natively. What can't be read is named, and the rest is listed.

use super::{physical, running_root};
use crate::bootc_store::BootcStore;
use crate::error::Error;
use crate::operation::ListType;
use crate::report::{ImageRow, ImageType, Listing};
use crate::settings::{Place, Settings};
use crate::storage::bound::bound_images;
use crate::storage::containers::Store;
use crate::storage::ostree::Repository;
use crate::storage::root::RootDir;
use crate::storage::sysroot;
use crate::talk::Talk;

pub(super) fn execute(settings: &Settings, image_type: ListType, talk: &dyn Talk) -> Result<Listing, Error> {
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
                listing.problems.push(problem);
                None
            }
        },
    };
    if let Some(physical) = &sysroot {
        if wants(&[ListType::Host]) {
            listing.take(ImageType::Host, host(physical));
        }
        if wants(&[ListType::Host, ListType::Unified]) {
            listing.take(ImageType::Unified, unified(physical, settings, talk));
        }
    }
    if wants(&[ListType::Logical]) {
        match (&settings.sysroot, &sysroot) {
            (Some(_), Some(physical)) => listing.take(ImageType::Logical, logical_of_default(physical)),
            // That it can't be opened has been said.
            (Some(_), None) => {}
            (None, _) => {
                listing.take(ImageType::Logical, running_root().and_then(|root| bound_images(&root)));
            }
        }
    }
    listing.rows.sort_unstable();
    listing.rows.dedup();
    Ok(listing)
}

/// Names, and what is missing from them.
type Found = Result<(Vec<String>, Vec<Error>), Error>;

impl Listing {
    fn take(&mut self, image_type: ImageType, found: Found) {
        match found {
            Ok((names, problems)) => {
                self.rows.extend(names.into_iter().map(|image| ImageRow { image_type, image }));
                self.problems.extend(problems);
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn host(physical: &RootDir) -> Found {
    let exists = |path| physical.exists(path).map_err(physical.error("examine", path));
    if !exists("ostree/repo")? && exists("composefs")? {
        return Err(Error::Composefs);
    }
    let (refs, problems) = Repository::open(physical)?.image_refs()?;
    Ok((refs.into_iter().map(|image| image.name).collect(), problems))
}

fn unified(physical: &RootDir, settings: &Settings, talk: &dyn Talk) -> Found {
    let Some(store) = BootcStore::open(physical)? else { return Ok((Vec::new(), Vec::new())) };
    let contents = Store::open(store.root())?;
    let images = contents.images(settings.lock_limit, talk)?;
    let names = images.iter().flat_map(|image| image.listed_names()).map(str::to_owned);
    Ok((names.collect(), Vec::new()))
}

/// With `--sysroot`: of that system's default deployment.
fn logical_of_default(physical: &RootDir) -> Found {
    let deployment = sysroot::default(physical)?;
    bound_images(&physical.open_root(&deployment.path).map_err(physical.error("open", &deployment.path))?)
}
