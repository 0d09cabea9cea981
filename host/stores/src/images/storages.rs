//! bootc's and podman's storage as source and target of copies, and checking their images for damage.

use std::path::PathBuf;

use bootc_image_containers_storage::{Checker, Damage, Image, Images, Store, named};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::LocalImage;
use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::lock_watch::LockWatch;
use bootc_image_os::processes::{Process, Program};
use bootc_image_os::root::RootDir;

use super::names::local_image;
use crate::bootc_store::BootcStore;
use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::host::Host;
use crate::podman;
use crate::transfer::{Endpoint, Name};

/// One of the two storages.
#[derive(Debug, Clone, Copy)]
pub enum Storage<'a> {
    /// bootc's.
    Bootc(&'a BootcStore),
    /// podman's.
    Default(&'a DefaultStore),
}

impl<'a> Storage<'a> {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Bootc(store) => store.root().path("."),
            Self::Default(store) => store.path().to_owned(),
        }
    }

    /// An image of it, as an endpoint of a transfer.
    pub fn end(&self, name: Name<'a>) -> Endpoint<'a> {
        match self {
            Self::Bootc(store) => Endpoint::Bootc(store, name),
            Self::Default(store) => Endpoint::Default(store, name),
        }
    }

    /// podman, on this storage.
    pub fn podman(&self, host: Host<'_>) -> Result<Process, Error> {
        let settings = host.settings;
        match self {
            Self::Bootc(store) => Ok(store.podman(settings, host.reporter)?),
            Self::Default(store) => {
                LockWatch::new([store.path()], settings.change_limit).wait(host.reporter)?;
                Ok(Process::new(Program::Podman, &settings.proxies)?)
            }
        }
    }

    /// Calls `work` with the opened storage and its additional storages; returns the default if it does not exist yet.
    pub fn read<T: Default>(
        &self,
        work: impl FnOnce(&Store<'_>, &[Store<'_>]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.open(|own, others| own.map_or_else(|| Ok(T::default()), |own| work(own, others)))
    }

    /// Calls `work` with the opened storage, if it exists, and its additional storages.
    fn open<T>(
        &self,
        work: impl FnOnce(Option<&Store<'_>>, &[Store<'_>]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Self::Bootc(store) => work(Some(&podman::open_store(store.root())?), &[]),
            Self::Default(default) => {
                let others = default.others()?;
                // podman cannot use layers of an additional storage that cannot be read.
                let others: Vec<Store<'_>> =
                    others.iter().filter_map(|root| podman::open_store(root).ok()).collect();
                let root = default.open()?;
                let own = root.as_ref().map(|root| default.store(root)).transpose()?;
                work(own.as_ref(), &others)
            }
        }
    }

    /// As [`Storage::read`], with its images, whose index is locked meanwhile.
    pub fn images<T: Default>(
        &self,
        host: Host<'_>,
        work: impl FnOnce(&Images<'_>, &[Store<'_>]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.read(|store, others| {
            let images = store.images(host.settings.lock_limit, host.reporter)?;
            work(&images, others)
        })
    }

    /// The image with this name, if it is the wanted one and undamaged.
    pub fn held(
        &self,
        host: Host<'_>,
        name: &Reference,
        wanted: impl Fn(&Image) -> bool,
    ) -> Result<Option<LocalImage>, Error> {
        self.images(host, |images, others| {
            let Some(image) = named(images, name).filter(|image| wanted(image)) else { return Ok(None) };
            match images.damage(image, others)? {
                None => local_image(&self.root()?, image).map(Some),
                Some(_) => Ok(None),
            }
        })
    }

    /// As [`Storage::held`], after something was written: it is an error if the name refers to another image, or the image is
    /// damaged.
    pub fn check_written(
        &self,
        host: Host<'_>,
        name: &Reference,
        wanted: impl Fn(&Image) -> bool,
    ) -> Result<LocalImage, Error> {
        let found = self.images(host, |images, others| {
            let Some(image) = named(images, name).filter(|image| wanted(image)) else { return Ok(None) };
            match images.damage(image, others)? {
                Some(damage) if !damage.is_of_metadata() => {
                    Err(self.damaged(host, name.to_string(), &damage))
                }
                _ => local_image(&self.root()?, image).map(Some),
            }
        })?;
        found
            .ok_or_else(|| OsError::Verification {
                what: name.to_string(),
                why: format!(
                    "this name is missing in the storage at {}, or is the name of another image",
                    self.path().display()
                ),
            })
            .map_err(Error::from)
    }

    /// The layers of an image, by its id, if it exists. Includes images of podman's additional storages.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn whole(&self, host: Host<'_>, name: &str, id: &str) -> Result<Option<Vec<Digest>>, Error> {
        if let Some(diff_ids) = self.whole_itself(host, name, id)? {
            return Ok(Some(diff_ids));
        }
        self.shown(host, id, |images, image, checker| match checker.image_of(images.store(), image)? {
            Some(damage) if !damage.is_of_metadata() => Err(Error::Damaged {
                image: name.to_owned(),
                what: damage.to_string(),
                hint: format!(
                    "the image is in podman's additional image store {}, which podman only reads: replace it there \
                     with the tool that wrote it",
                    images.store().path().display()
                ),
            }),
            _ => Ok(Some(images.diff_ids(image))),
        })
    }

    /// As [`Storage::whole`], without additional storages.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn whole_itself(&self, host: Host<'_>, name: &str, id: &str) -> Result<Option<Vec<Digest>>, Error> {
        self.images(host, |images, others| {
            let Some(image) = images.iter().find(|image| image.id == id) else { return Ok(None) };
            match images.damage(image, others)? {
                // Copies take owners and modes from the archive headers, not from the files.
                Some(damage) if !damage.is_of_metadata() => Err(self.damaged(host, name.to_owned(), &damage)),
                _ => Ok(Some(images.diff_ids(image))),
            }
        })
    }

    /// The damage of what podman would reuse, without a check, for an image with this id and these layers.
    pub fn damage(
        &self,
        host: Host<'_>,
        id: Option<&str>,
        diff_ids: &[Digest],
    ) -> Result<Option<Damage>, Error> {
        self.images(host, |images, others| {
            let mut checker = Checker::new(images.store(), others)?;
            let image = images.iter().find(|image| Some(image.id.as_str()) == id);
            match image.map(|image| checker.image(image)).transpose()?.flatten() {
                Some(damage) => Ok(Some(damage)),
                None => Ok(checker.layers_of(diff_ids)?),
            }
        })
    }

    /// The first damage of any image or layer in it.
    pub fn any_damage(&self, host: Host<'_>) -> Result<Option<Damage>, Error> {
        self.images(host, |images, others| {
            let mut checker = Checker::new(images.store(), others)?;
            for image in images.iter() {
                if let Some(damage) = checker.image(image)? {
                    return Ok(Some(damage));
                }
            }
            Ok(checker.any_layer()?)
        })
    }

    /// As [`Checker::would_get_worse`].
    pub fn would_get_worse(&self) -> Result<bool, Error> {
        self.read(|store, others| Checker::new(store, others)?.would_get_worse().map_err(Error::from))
    }

    /// The size of an image, including those of additional storages; 0 if it was removed, which a later step reports.
    pub fn size_of(&self, host: Host<'_>, id: &str) -> Result<u64, Error> {
        self.shown(host, id, |images, image, _| images.size(image).map_err(Error::from))
    }

    /// The names of an image, including those of additional storages.
    pub fn names_of(&self, host: Host<'_>, id: &str) -> Result<Vec<String>, Error> {
        self.shown(host, id, |_, image, _| Ok(image.names.clone()))
    }

    /// Calls `work` with the image with this id, from this storage or else from an additional one; returns the default if none has it.
    fn shown<T: Default>(
        &self,
        host: Host<'_>,
        id: &str,
        work: impl FnOnce(&Images<'_>, &Image, &mut Checker<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.open(|own, others| {
            let stores = || own.into_iter().chain(others);
            let images = stores().map(|store| store.images(host.settings.lock_limit, host.reporter));
            let all = images.collect::<Result<Vec<_>, _>>()?;
            let found = all.iter().find_map(|images| {
                let image = images.iter().find(|image| image.id == id)?;
                Some((images, image))
            });
            let Some((images, image)) = found else { return Ok(T::default()) };
            let mut checker = Checker::among(images.store().driver(), stores())?;
            work(images, image, &mut checker)
        })
    }

    /// Adds a name to an image.
    pub fn tag(&self, host: Host<'_>, id: &str, name: &Reference) -> Result<(), Error> {
        let mut podman = self.podman(host)?;
        podman.args(["image", "tag", id, &name.to_string()]);
        Ok(podman.run_quietly()?)
    }

    /// Reports the damage that is about to be repaired.
    pub fn note(&self, host: Host<'_>, damage: &Damage) {
        let storage = match self {
            Self::Bootc(_) => "bootc's storage",
            Self::Default(_) => "podman's storage",
        };
        host.reporter.note(&format!("{storage} is damaged; the damaged parts are being replaced: {damage}"));
    }

    /// The error for a damaged image, with a hint.
    pub fn damaged(&self, host: Host<'_>, image: String, damage: &Damage) -> Error {
        let hint = match self {
            Self::Bootc(_) => {
                let sysroot = host.settings.sysroot.as_ref().map(|path| format!("--sysroot {path} "));
                format!("replace its layers with: bootc-image {}repair {image}", sysroot.unwrap_or_default())
            }
            Self::Default(_) => {
                let with_layer = damage.layer().and_then(|layer| self.names_with(host, layer, "").ok());
                let names = with_layer.filter(|names| !names.is_empty()).unwrap_or_else(|| image.clone());
                let is_listed = names.split(' ').any(|name| name == image);
                let itself = if is_listed { String::new() } else { format!(" and {image}") };
                format!(
                    "podman does not replace a layer that it already has. Remove the images that use this layer with: \
                     podman image rm {names}; then pull or build them{itself} again"
                )
            }
        };
        Error::Damaged { image, what: damage.to_string(), hint }
    }

    /// One name of each image that has this layer, except the image `but_for`.
    pub fn names_with(&self, host: Host<'_>, layer: &str, but_for: &str) -> Result<String, Error> {
        self.images(host, |images, _| {
            let having = images.with_layers(&[layer.to_owned()].into())?;
            let having = images.iter().filter(|image| having.contains(&image.id) && image.id != but_for);
            let name = |image: &Image| image.listed_names().next().unwrap_or(&image.id).to_owned();
            Ok(having.map(name).collect::<Vec<_>>().join(" "))
        })
    }

    fn root(&self) -> Result<RootDir, Error> {
        let path = self.path();
        RootDir::open(&path).map_err(Error::io("open", path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bootc_image_os::reporter::doubles::Silent;

    use super::*;
    use crate::host::doubles::settings;
    use crate::podman::Configuration;

    #[test]
    fn a_damaged_image_of_an_additional_storage_is_not_repaired_with_podman() {
        let scratch = tempfile::tempdir().unwrap();
        let additional = scratch.path().join("additional");
        let graphroot = scratch.path().join("own");
        let id = "0".repeat(64);
        for store in [&additional, &graphroot] {
            fs::create_dir_all(store.join("overlay-images")).unwrap();
        }
        let index = format!(r#"[{{"id":"{id}","names":["localhost/a:1"]}}]"#);
        fs::write(additional.join("overlay-images/images.json"), index).unwrap();
        let configuration =
            Configuration { graphroot, additional: vec![additional.clone()], ..Configuration::default() };
        let store = DefaultStore::configured_in_tests(configuration);
        let host = Host { settings: &settings(scratch.path()), reporter: &Silent };
        let found = Storage::Default(&store).whole(host, "localhost/a:1", &id);
        let Err(Error::Damaged { image, what, hint }) = found else { panic!("{found:?}") };
        assert_eq!((image.as_str(), what.as_str()), ("localhost/a:1", "its configuration is missing"));
        let expected = format!(
            "the image is in podman's additional image store {}, which podman only reads: replace it there \
             with the tool that wrote it",
            additional.display()
        );
        assert_eq!(hint, expected);
    }
}
