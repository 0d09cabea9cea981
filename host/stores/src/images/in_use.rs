//! What uses images of bootc's storage: containers, and images in podman's storage that use layers of bootc's storage.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use bootc_image_containers_storage::{Image, Images, Store};
use bootc_image_model::settings::Settings;
use bootc_image_os::root::RootDir;

use super::systems::systems;
use crate::error::Error;
use crate::podman::{self, Configuration};
use crate::units::Units;

/// The user of each image, by the image's id.
#[derive(Debug)]
pub struct InUse(HashMap<String, String>);

impl InUse {
    /// For these images of bootc's storage, which is `store`.
    ///
    /// # Errors
    /// [`Error::NeedsUnknown`].
    pub fn find(
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
            // Images of another driver cannot use this driver's layers.
            let other = Store::with_driver(&root, store.driver())?;
            used.extend(
                other.used_by_containers()?.into_iter().map(|(id, who)| (id, in_podmans_storage(who))),
            );
            borrowed.extend(other.borrowed_layers()?);
        }
        for id in images.with_layers(&borrowed)? {
            used.entry(id).or_insert_with(|| "podman's own storage, which stands on its layers".to_owned());
        }
        Ok(Self(used))
    }

    /// What uses this image, in words.
    pub fn by(&self, image: &Image) -> Option<&str> {
        self.0.get(&image.id).map(String::as_str)
    }
}

/// Another command removes the working containers of builds by podman itself.
fn in_podmans_storage(who: String) -> String {
    if who.starts_with("container ") { who } else { format!("{who} with podman") }
}

/// Every directory in which podman may keep containers or images that use bootc's layers, on the running OS and in all deployments.
fn podmans_storages(physical: &RootDir, settings: &Settings) -> Result<Vec<RootDir>, Error> {
    let systems = systems(physical, settings)?;
    let mut places = BTreeSet::new();
    let mut storages = Vec::new();
    let mut known = HashSet::new();
    let mut add = |storage: Option<RootDir>| {
        let Some(storage) = storage else { return Ok(()) };
        if known.insert(storage.identity().map_err(storage.error("examine", "."))?) {
            storages.push(storage);
        }
        Ok::<_, Error>(())
    };
    for system in &systems {
        let mut readings = podman::readings(system)?;
        // podman's default directories may have containers from an older configuration.
        readings.push(Configuration::default());
        let configured = readings.iter().flat_map(Configuration::places).map(Path::to_owned);
        for place in configured.chain(Units::read(system)?.storages()?) {
            add(system.open_root(&place)?)?;
            places.insert(place);
        }
    }
    // A disk that is mounted now will be mounted in other deployments as well.
    if let Some(running) = systems.iter().find(|system| system.is_running()) {
        for place in places {
            add(running.open_root(place)?)?;
        }
    }
    Ok(storages)
}
