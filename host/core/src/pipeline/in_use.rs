//! What stands on images of bootc's storage: containers, and what podman's own storage has made of them, which sees bootc's
//! beside its own.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::settings::Settings;
use crate::storage::containers::{Image, Images, Store};
use crate::storage::default_store;
use crate::storage::root::RootDir;
use crate::storage::sysroot;

/// Who uses which image, by its id.
#[derive(Debug)]
pub(super) struct InUse(HashMap<String, String>);

impl InUse {
    /// Of these images of bootc's storage, which is `store`.
    ///
    /// # Errors
    /// [`Error::NeedsUnknown`].
    pub(super) fn find(
        physical: &RootDir,
        settings: &Settings,
        store: &Store<'_>,
        images: &Images<'_>,
    ) -> Result<Self, Error> {
        Self::read(physical, settings, store, images).map_err(|error| Error::NeedsUnknown(Box::new(error)))
    }

    fn read(
        physical: &RootDir,
        settings: &Settings,
        store: &Store<'_>,
        images: &Images<'_>,
    ) -> Result<Self, Error> {
        let mut used = store.used_by_containers()?;
        let mut borrowed = HashSet::new();
        for root in podmans_storages(physical, settings)? {
            match Store::open(&root) {
                Ok(other) if other.driver() == store.driver() => {
                    used.extend(other.used_by_containers()?);
                    borrowed.extend(other.borrowed_layers()?);
                }
                // With another driver it can't see bootc's.
                Ok(_) | Err(Error::UnknownDriver { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for id in images.with_layers(&borrowed)? {
            used.entry(id).or_insert_with(|| "podman's own storage, which stands on its layers".to_owned());
        }
        Ok(Self(used))
    }

    /// Who uses this image.
    pub(super) fn by(&self, image: &Image) -> Option<&str> {
        self.0.get(&image.id).map(String::as_str)
    }
}

/// podman's own storages: the running system's, with what it keeps there until the next boot, or those of the deployments of
/// another system.
fn podmans_storages(physical: &RootDir, settings: &Settings) -> Result<Vec<RootDir>, Error> {
    if settings.sysroot.is_none() {
        return DefaultStore::find()?.open_all();
    }
    let mut storages = Vec::new();
    for deployment in sysroot::all(physical)? {
        let root = physical.open_root(&deployment.path).map_err(physical.error("open", &deployment.path))?;
        let place = default_store::find(&root)?.graphroot;
        let (above, below) = match place.strip_prefix("/var") {
            Ok(below) => (deployment.stateroot().join("var"), below),
            Err(_) => (deployment.path.clone(), place.strip_prefix("/").unwrap_or(&place)),
        };
        storages.extend(open_without_links(physical, &above, below)?);
    }
    Ok(storages)
}

/// Where a link leads is that system's business: an absolute one would lead elsewhere here.
fn open_without_links(physical: &RootDir, above: &Path, below: &Path) -> Result<Option<RootDir>, Error> {
    let mut path = above.to_owned();
    for part in below {
        path.push(part);
        if physical.read_link(&path).is_ok() {
            let source = io::Error::other("it is a link, and where that leads in its own system isn't known");
            return Err(physical.error("look into", &path)(source));
        }
    }
    match physical.open_root(&path) {
        Ok(root) => Ok(Some(root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(physical.error("open", &path)(error)),
    }
}
