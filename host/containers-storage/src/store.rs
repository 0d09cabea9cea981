//! Reading a storage's images from its index, under its lock.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use bootc_image_model::digest::{Digest, is_id};
use bootc_image_model::oci;
use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::lock;
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use serde::de::DeserializeOwned;

use crate::damage::{Checker, Damage};
use crate::error::Error;
use crate::inventory::Inventory;
use crate::records::{Container, Image, Layer};

/// The maximum size of a configuration or manifest.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;
/// The maximum size of an index: some 100,000 images.
pub(crate) const MAX_INDEX: u64 = 256 << 20;
/// The supported drivers, in podman's order of preference.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];

/// A containers-storage, open for reading.
#[derive(Debug)]
pub struct Store<'a> {
    pub(crate) root: &'a RootDir,
    pub(crate) driver: Option<&'static str>,
}

/// The images of a store; while this is held, none is added or removed.
#[derive(Debug)]
pub struct Images<'a> {
    store: &'a Store<'a>,
    images: Vec<Image>,
    _lock: Option<File>,
}

impl<'a> Store<'a> {
    /// Detects the driver of the store in `root`. A store that has never been used has none.
    ///
    /// # Errors
    /// Any I/O error; [`Error::UnknownDriver`] if it is not supported; [`Error::SeveralDrivers`].
    pub fn open(root: &'a RootDir) -> Result<Self, Error> {
        match drivers(root)?.as_slice() {
            [] => Ok(Self { root, driver: None }),
            [driver] => Self::with_driver(root, driver),
            _ => Err(Error::SeveralDrivers { path: root.path(".") }),
        }
    }

    /// The store in `root` with this driver, as if podman's configuration named it. Files of other drivers are ignored.
    ///
    /// # Errors
    /// [`Error::UnknownDriver`] if it is not supported.
    pub fn with_driver(root: &'a RootDir, driver: &str) -> Result<Self, Error> {
        let known = DRIVERS.into_iter().find(|known| *known == driver);
        let unknown = || Error::UnknownDriver { path: root.path("."), driver: driver.to_owned() };
        Ok(Self { root, driver: Some(known.ok_or_else(unknown)?) })
    }

    /// The store's driver; for a store that has never been used it is overlay, podman's default.
    pub fn driver(&self) -> &'static str {
        self.driver.unwrap_or(DRIVERS[0])
    }

    /// A consistent snapshot of all images, in the store's order.
    ///
    /// # Errors
    /// Any I/O error; [`OsError::Locked`]; [`OsError::Corrupt`].
    pub fn images(&self, lock_limit: Duration, reporter: &dyn Reporter) -> Result<Images<'_>, Error> {
        let Some(driver) = self.driver else {
            return Ok(Images { store: self, images: Vec::new(), _lock: None });
        };
        let lock = self.lock(&format!("{driver}-images/images.lock"), lock_limit, reporter)?;
        let images = self.index(&format!("{driver}-images/images.json"))?;
        Ok(Images { store: self, images, _lock: lock })
    }

    /// The entries of an index. podman creates it late, so a missing or empty file has no entries.
    pub(crate) fn index<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, Error> {
        tracing::info!(file = %self.root.path(name).display(), "reading a container storage");
        let contents = match self.root.read(name, MAX_INDEX) {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.root.error("read", name)(error).into()),
        };
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&contents)
            .map_err(|error| OsError::Corrupt {
                path: self.root.path(name),
                why: error.to_string(),
                hint: "restore this file from a backup: neither podman nor bootc-image can use this storage without it",
            })
            .map_err(Error::from)
    }

    /// The images in the index, without taking the lock.
    pub(crate) fn listed(&self) -> Result<Vec<Image>, Error> {
        self.index(&format!("{}-images/images.json", self.driver()))
    }

    /// Takes the store's lock, shared; `None` if the store has no lock file, such as a read-only store in an image.
    fn lock(&self, name: &str, limit: Duration, reporter: &dyn Reporter) -> Result<Option<File>, Error> {
        match self.root.open_file(name) {
            Ok(file) => {
                lock::shared(&file, &self.root.path(name), limit, reporter)?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.root.error("open", name)(error).into()),
        }
    }

    /// The ids of images that containers use, each with one of the containers in words.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn used_by_containers(&self) -> Result<HashMap<String, String>, Error> {
        let words = |container: &Container| {
            let id = container.id.get(..12).unwrap_or(&container.id);
            match container.names.iter().find(|name| is_working(name)) {
                Some(name) => format!("the working container {id} ({name}) of a build"),
                None => format!("container {id}"),
            }
        };
        let mut used = HashMap::new();
        for container in self.containers()? {
            let words = words(&container);
            used.insert(container.image, words);
        }
        Ok(used)
    }

    /// The working containers of running builds, by the names that buildah gives them: their ids, each with the id of its layer.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn working_containers(&self) -> Result<HashMap<String, String>, Error> {
        let mut found = self.containers()?;
        found.retain(|container| container.names.iter().any(|name| is_working(name)));
        Ok(found.into_iter().map(|container| (container.id, container.layer)).collect())
    }

    pub(crate) fn containers(&self) -> Result<Vec<Container>, Error> {
        let mut containers = Vec::new();
        for index in ["containers.json", "volatile-containers.json"] {
            let found: Vec<Container> = self.index(&format!("{}-containers/{index}", self.driver()))?;
            containers.extend(found);
        }
        Ok(containers)
    }

    /// Layers of additional stores that images or layers of this store use.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn borrowed_layers(&self) -> Result<HashSet<String>, Error> {
        let own = self.layers()?;
        let images: Vec<Image> = self.index(&format!("{}-images/images.json", self.driver()))?;
        let below = own.values().filter_map(|layer| layer.parent.clone());
        let named = images.into_iter().filter_map(|image| image.layer).chain(below);
        Ok(named.filter(|id| !id.is_empty() && !own.contains_key(id)).collect())
    }

    /// A consistent snapshot of the layers. It needs no lock, because podman replaces the index by a rename.
    pub(crate) fn layers(&self) -> Result<HashMap<String, Layer>, Error> {
        let mut layers = HashMap::new();
        for index in ["layers.json", "volatile-layers.json"] {
            let found: Vec<Layer> = self.index(&format!("{}-layers/{index}", self.driver()))?;
            layers.extend(found.into_iter().map(|layer| (layer.id.clone(), layer.in_newer_form())));
        }
        Ok(layers)
    }

    /// The manifests of a manifest list, and their architectures; none for other images.
    fn platforms(&self, image: &Image) -> Vec<(Digest, String)> {
        // A manifest list has no layers.
        if image.layer.as_ref().is_some_and(|layer| !layer.is_empty()) {
            return Vec::new();
        }
        let path = format!("{}-images/{}/manifest", self.driver(), image.id);
        let text = self.root.read(path, MAX_DOCUMENT).unwrap_or_default();
        oci::platforms(&text)
    }

    /// The manifests of a manifest list; none for other images.
    pub(crate) fn instances(&self, image: &Image) -> Vec<Digest> {
        self.platforms(image).into_iter().map(|(digest, _)| digest).collect()
    }

    /// An image's configuration, if its digest is the image's id.
    pub(crate) fn configuration(&self, image: &Image) -> Option<Vec<u8>> {
        let directory = format!("{}-images/{}", self.driver(), image.id);
        // The configuration is the document whose digest is the image's id.
        let documents = self.root.entries(&directory).ok()?;
        documents.into_iter().find_map(|entry| {
            let text = self.root.read(Path::new(&directory).join(entry.name), MAX_DOCUMENT).ok()?;
            (Digest::of(&text).hex() == image.id).then_some(text)
        })
    }
}

/// Whether buildah gives a container this name, in which it builds an image.
fn is_working(name: &str) -> bool {
    let digit_or_dash = |character: char| character.is_ascii_digit() || character == '-';
    name.trim_end_matches(digit_or_dash).ends_with("working-container")
}

/// The drivers that have stored images in a store.
///
/// # Errors
/// Any I/O error.
pub fn drivers(root: &RootDir) -> Result<Vec<String>, Error> {
    let entries = root.entries(".").map_err(root.error("read", "."))?;
    let names = entries.iter().filter_map(|entry| entry.name.to_str()?.strip_suffix("-images"));
    let mut drivers: Vec<String> = names.map(str::to_owned).collect();
    if drivers.len() > 1 {
        // A driver without an index has never been used.
        drivers.retain(|driver| root.exists(format!("{driver}-images/images.json")).unwrap_or(true));
    }
    Ok(drivers)
}

/// The image with this name, in the same spelling.
pub fn named<'a>(images: &'a [Image], name: &Reference) -> Option<&'a Image> {
    let name = name.to_string();
    images.iter().find(|image| image.names.contains(&name))
}

/// The image with this name, in any spelling: podman keeps capital letters.
pub fn equivalent<'a>(images: &'a [Image], name: &Reference) -> Option<&'a Image> {
    named(images, name).or_else(|| images.iter().find(|image| image.names_meaning(name).next().is_some()))
}

impl Images<'_> {
    /// The first damage of an image; `None` if it is undamaged. The contents of its files are not read. `others` are the store's
    /// additional stores.
    ///
    /// # Errors
    /// Any I/O error that does not mean damage.
    pub fn damage(&self, image: &Image, others: &[Store<'_>]) -> Result<Option<Damage>, Error> {
        Checker::new(self.store, others)?.image(image)
    }

    /// The digests of an image's layers from its configuration, the lowest first; none if it cannot be read.
    pub fn diff_ids(&self, image: &Image) -> Vec<Digest> {
        let configuration = self.store.configuration(image).unwrap_or_default();
        oci::diff_ids(&configuration).unwrap_or_default()
    }

    /// The store that has them.
    pub fn store(&self) -> &Store<'_> {
        self.store
    }

    /// The uncompressed size of an image's layers, in bytes.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn size(&self, image: &Image) -> Result<u64, Error> {
        Ok(size_of_layers(image, &self.store.layers()?))
    }

    /// The manifests of a manifest list; none for other images, and if it cannot be read.
    pub fn instances(&self, image: &Image) -> Vec<Digest> {
        self.store.instances(image)
    }

    /// As [`Images::instances`], with the architecture of each.
    pub fn platforms(&self, image: &Image) -> Vec<(Digest, String)> {
        self.store.platforms(image)
    }

    /// The ids of the images that have one of these layers.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn with_layers(&self, wanted: &HashSet<String>) -> Result<HashSet<String>, Error> {
        let layers = self.store.layers()?;
        let found = self.iter().filter(|image| chain(image, &layers).any(|id| wanted.contains(id)));
        Ok(found.map(|image| image.id.clone()).collect())
    }

    /// The layers that only this image uses, from the topmost down: no other image and no other layer uses them.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn own_layers(&self, image: &Image) -> Result<Vec<OwnLayer>, Error> {
        let layers = self.store.layers()?;
        let others = self.iter().filter(|other| other.id != image.id);
        let shared: HashSet<&String> = others.flat_map(|other| chain(other, &layers)).collect();
        let mut own: Vec<OwnLayer> = Vec::new();
        for id in chain(image, &layers) {
            let mut above = layers.values().filter(|layer| layer.parent.as_ref() == Some(id));
            if shared.contains(id)
                || !is_id(id)
                || above.any(|layer| own.iter().all(|own| own.id != layer.id))
            {
                break;
            }
            let directory = match self.store.driver() {
                "vfs" => format!("vfs/dir/{id}"),
                driver => format!("{driver}/{id}/diff"),
            };
            own.push(OwnLayer { id: id.clone(), directory });
        }
        Ok(own)
    }

    /// Releases the lock and keeps a snapshot of the images.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn into_inventory(self) -> Result<Inventory, Error> {
        let root = self.store.root;
        Ok(Inventory {
            root: root.open_root(".").map_err(root.error("open", "."))?,
            driver: self.store.driver,
            layers: self.store.layers()?,
            images: self.images,
        })
    }
}

/// A layer that only one image uses.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnLayer {
    pub id: String,
    /// The directory of its files in the storage.
    pub directory: String,
}

/// The layers of an image, from the topmost down.
pub(crate) fn chain<'a>(
    image: &'a Image,
    layers: &'a HashMap<String, Layer>,
) -> impl Iterator<Item = &'a String> {
    let chain = std::iter::successors(image.layer.as_ref(), |id| layers.get(*id)?.parent.as_ref());
    // A damaged index may have a cycle.
    chain.take(layers.len())
}

/// The size of all layers of an image.
pub(crate) fn size_of_layers(image: &Image, layers: &HashMap<String, Layer>) -> u64 {
    let layers = chain(image, layers).filter_map(|id| layers.get(id));
    let sizes = layers.filter_map(|layer| u64::try_from(layer.diff_size).ok());
    // A damaged index may have any number.
    sizes.fold(0, u64::saturating_add)
}

impl Deref for Images<'_> {
    type Target = [Image];

    fn deref(&self) -> &[Image] {
        &self.images
    }
}
