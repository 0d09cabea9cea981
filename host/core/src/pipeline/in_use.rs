//! What stands on images of bootc's storage: containers, and what podman's own storage has made of them, which sees bootc's
//! beside its own.

use std::collections::{HashMap, HashSet};

use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::settings::Settings;
use crate::storage::containers::{Image, Images, Store};
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

/// podman's own storages: the running system's, unless this is about another system, and the usual one of every stateroot.
fn podmans_storages(physical: &RootDir, settings: &Settings) -> Result<Vec<RootDir>, Error> {
    let running = match settings.sysroot {
        None => DefaultStore::find()?.open()?,
        Some(_) => None,
    };
    let mut storages = Vec::from_iter(running);
    for path in sysroot::stateroots(physical)? {
        let path = path.join("var/lib/containers/storage");
        match physical.open_root(&path) {
            Ok(root) => storages.push(root),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(physical.error("open", &path)(error)),
        }
    }
    Ok(storages)
}
