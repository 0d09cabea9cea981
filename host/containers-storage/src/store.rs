//! A storage and its images, read from its own index under its own lock.

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
use bootc_image_os::root::RootDir;
use bootc_image_os::talk::Talk;
use serde::de::DeserializeOwned;

use crate::damage::{Checker, Damage};
use crate::error::Error;
use crate::inventory::Inventory;
use crate::records::{Container, Image, Layer};

/// Largest configuration or manifest.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;
/// Largest index: some 100,000 images.
pub(crate) const MAX_INDEX: u64 = 256 << 20;
/// Drivers whose index is read, in the order in which podman prefers them.
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
    /// Finds out what driver the store in `root` has. A store in which nothing has been kept yet has none.
    ///
    /// # Errors
    /// The system's; [`Error::UnknownDriver`] if it is one that isn't read here; [`Error::SeveralDrivers`].
    pub fn open(root: &'a RootDir) -> Result<Self, Error> {
        match drivers(root)?.as_slice() {
            [] => Ok(Self { root, driver: None }),
            [driver] => Self::with_driver(root, driver),
            _ => Err(Error::SeveralDrivers { path: root.path(".") }),
        }
    }

    /// The store in `root`, as podman reads it when its configuration names this driver: what another driver has left beside
    /// isn't looked at.
    ///
    /// # Errors
    /// [`Error::UnknownDriver`] if it is one that isn't read here.
    pub fn with_driver(root: &'a RootDir, driver: &str) -> Result<Self, Error> {
        let known = DRIVERS.into_iter().find(|known| *known == driver);
        let unknown = || Error::UnknownDriver { path: root.path("."), driver: driver.to_owned() };
        Ok(Self { root, driver: Some(known.ok_or_else(unknown)?) })
    }

    /// The store's driver; overlay for a store in which nothing has been kept yet, as podman would choose.
    pub fn driver(&self) -> &'static str {
        self.driver.unwrap_or(DRIVERS[0])
    }

    /// Every image, in the store's order, as of one moment.
    ///
    /// # Errors
    /// The system's; [`OsError::Locked`]; [`OsError::Corrupt`].
    pub fn images(&self, lock_limit: Duration, talk: &dyn Talk) -> Result<Images<'_>, Error> {
        let Some(driver) = self.driver else {
            return Ok(Images { store: self, images: Vec::new(), _lock: None });
        };
        let lock = self.lock(&format!("{driver}-images/images.lock"), lock_limit, talk)?;
        let images = self.index(&format!("{driver}-images/images.json"))?;
        Ok(Images { store: self, images, _lock: lock })
    }

    /// An index of the store; one that isn't there, or is empty, has nothing in it: podman hasn't written any yet.
    pub(crate) fn index<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, Error> {
        let contents = match self.root.read(name, MAX_INDEX) {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.root.error("read", name)(error).into()),
        };
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&contents).map_err(|error| OsError::Corrupt {
            path: self.root.path(name),
            why: error.to_string(),
            hint: "check that storage with podman: bootc-image cmd list for bootc's storage, podman image list for podman's",
        }).map_err(Error::from)
    }

    /// The images that the index lists, also while another process changes it.
    pub(crate) fn listed(&self) -> Result<Vec<Image>, Error> {
        self.index(&format!("{}-images/images.json", self.driver()))
    }

    /// The store's lock, shared; none if the store has no lock file, as in an image of a read-only store.
    fn lock(&self, name: &str, limit: Duration, talk: &dyn Talk) -> Result<Option<File>, Error> {
        match self.root.open_file(name) {
            Ok(file) => {
                lock::shared(&file, &self.root.path(name), limit, talk)?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.root.error("open", name)(error).into()),
        }
    }

    /// Images that containers were made from, by id, each with one of them in words.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn used_by_containers(&self) -> Result<HashMap<String, String>, Error> {
        let words = |id: &str| format!("container {}", id.get(..12).unwrap_or(id));
        let found = self.containers()?.into_iter();
        Ok(found.map(|container| (container.image, words(&container.id))).collect())
    }

    /// The containers that builds work in while they run, by id: buildah names them so.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn working_containers(&self) -> Result<HashSet<String>, Error> {
        let is_working = |name: &String| {
            let digit_or_dash = |character: char| character.is_ascii_digit() || character == '-';
            name.trim_end_matches(digit_or_dash).ends_with("working-container")
        };
        let mut found = self.containers()?;
        found.retain(|container| container.names.iter().any(is_working));
        Ok(found.into_iter().map(|container| container.id).collect())
    }

    pub(crate) fn containers(&self) -> Result<Vec<Container>, Error> {
        let mut containers = Vec::new();
        for index in ["containers.json", "volatile-containers.json"] {
            let found: Vec<Container> = self.index(&format!("{}-containers/{index}", self.driver()))?;
            containers.extend(found);
        }
        Ok(containers)
    }

    /// Layers that aren't in this store, and that something in it stands on: another store's, which it sees as well.
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

    /// Layers come and go by one rename of their index, so no lock is needed to see them as of one moment.
    pub(crate) fn layers(&self) -> Result<HashMap<String, Layer>, Error> {
        let mut layers = HashMap::new();
        for index in ["layers.json", "volatile-layers.json"] {
            let found: Vec<Layer> = self.index(&format!("{}-layers/{index}", self.driver()))?;
            layers.extend(found.into_iter().map(|layer| (layer.id.clone(), layer)));
        }
        Ok(layers)
    }

    /// The manifests that an image stands for, if it is a manifest list.
    pub(crate) fn instances(&self, image: &Image) -> Vec<Digest> {
        // A list has no layers of its own.
        if image.layer.as_ref().is_some_and(|layer| !layer.is_empty()) {
            return Vec::new();
        }
        let path = format!("{}-images/{}/manifest", self.driver(), image.id);
        let text = self.root.read(path, MAX_DOCUMENT).unwrap_or_default();
        oci::instances(&text)
    }

    /// An image's configuration, if it is what the image's id says.
    pub(crate) fn configuration(&self, image: &Image) -> Option<Vec<u8>> {
        let directory = format!("{}-images/{}", self.driver(), image.id);
        // Documents are named by a digest in base64; the configuration is the one that the image is named by.
        let documents = self.root.entries(&directory).ok()?;
        documents.into_iter().find_map(|entry| {
            let text = self.root.read(Path::new(&directory).join(entry.name), MAX_DOCUMENT).ok()?;
            (Digest::of(&text).hex() == image.id).then_some(text)
        })
    }
}

/// The drivers that have kept images in a store.
///
/// # Errors
/// The system's.
pub fn drivers(root: &RootDir) -> Result<Vec<String>, Error> {
    let entries = root.entries(".").map_err(root.error("read", "."))?;
    let names = entries.iter().filter_map(|entry| entry.name.to_str()?.strip_suffix("-images"));
    let mut drivers: Vec<String> = names.map(str::to_owned).collect();
    if drivers.len() > 1 {
        // What has no index has never been used.
        drivers.retain(|driver| root.exists(format!("{driver}-images/images.json")).unwrap_or(true));
    }
    Ok(drivers)
}

/// The image with this name, written just so.
pub fn named<'a>(images: &'a [Image], name: &Reference) -> Option<&'a Image> {
    let name = name.to_string();
    images.iter().find(|image| image.names.contains(&name))
}

/// The image with this name, however it is written there: podman keeps capital letters.
pub fn meant<'a>(images: &'a [Image], name: &Reference) -> Option<&'a Image> {
    named(images, name).or_else(|| images.iter().find(|image| image.names_meaning(name).next().is_some()))
}

impl Images<'_> {
    /// The first thing that is wrong with an image; none if it is whole. What is in the files of its layers isn't read.
    /// `others` are storages that this one sees beside itself.
    ///
    /// # Errors
    /// The system's, if that can't be found out.
    pub fn damage(&self, image: &Image, others: &[Store<'_>]) -> Result<Option<Damage>, Error> {
        Checker::new(self.store, others)?.image(image)
    }

    /// What the layers of an image are, the lowest first, as its configuration names them; none if that can't be read.
    pub fn diff_ids(&self, image: &Image) -> Vec<Digest> {
        let configuration = self.store.configuration(image).unwrap_or_default();
        oci::diff_ids(&configuration).unwrap_or_default()
    }

    /// The store that they are in.
    pub fn store(&self) -> &Store<'_> {
        self.store
    }

    /// How large an image's layers are, in bytes, not compressed.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn size(&self, image: &Image) -> Result<u64, Error> {
        Ok(size_of_layers(image, &self.store.layers()?))
    }

    /// The manifests that an image stands for, if it is a manifest list; what can't be read stands for none.
    pub fn instances(&self, image: &Image) -> Vec<Digest> {
        self.store.instances(image)
    }

    /// Which of these images have one of these layers, by id.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn with_layers(&self, wanted: &HashSet<String>) -> Result<HashSet<String>, Error> {
        let layers = self.store.layers()?;
        let found = self.iter().filter(|image| chain(image, &layers).any(|id| wanted.contains(id)));
        Ok(found.map(|image| image.id.clone()).collect())
    }

    /// The layers that an image has and nothing else in the storage, from the topmost down: they are in no other image, and
    /// nothing else stands on them.
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

    /// The images without the lock, and what else is to be known of them.
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

/// A layer that one image alone has.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnLayer {
    pub id: String,
    /// Where its files are in the storage.
    pub directory: String,
}

/// The layers that an image is made of, from the topmost down.
pub(crate) fn chain<'a>(
    image: &'a Image,
    layers: &'a HashMap<String, Layer>,
) -> impl Iterator<Item = &'a String> {
    let chain = std::iter::successors(image.layer.as_ref(), |id| layers.get(*id)?.parent.as_ref());
    // No chain has more links than there are layers.
    chain.take(layers.len())
}

/// The size of all layers that an image is made of.
pub(crate) fn size_of_layers(image: &Image, layers: &HashMap<String, Layer>) -> u64 {
    let layers = chain(image, layers).filter_map(|id| layers.get(id));
    let sizes = layers.filter_map(|layer| u64::try_from(layer.diff_size).ok());
    // An index may say anything.
    sizes.fold(0, u64::saturating_add)
}

impl Deref for Images<'_> {
    type Target = [Image];

    fn deref(&self) -> &[Image] {
        &self.images
    }
}
