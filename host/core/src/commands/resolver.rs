//! Resolves the names in a command: on this host, or to assumed values in a test of policies.

use std::cell::OnceCell;
use std::path::Path;

use bootc_image_containers_storage::{Image, equivalent};
use bootc_image_grammar::{Command, Kind};
use bootc_image_model::digest::{Digest, is_id};
use bootc_image_model::image::{CommandImage, LocalImage};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::Reference;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::names::{NOTHING_STORED, first_meaning, in_contents, local_image};
use bootc_image_stores::images::needs::Needs;
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::registry::{self, RegistryRequest};

use super::paths::{granted_path, source};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// What a name resolves to in its registry.
pub(crate) struct Meaning {
    /// The digest of the manifest, or of the multi-platform index if there is one.
    pub(crate) digest: Digest,
    /// The digest of the manifest that podman selects from the index.
    pub(crate) instance: Digest,
}

/// An image of bootc's storage that a command names.
pub(crate) struct Stored {
    /// The name in the command; none if it is an id.
    pub(crate) name: Option<Reference>,
    /// All names of the image, if the command has an id.
    pub(crate) names: Vec<String>,
    pub(crate) image: LocalImage,
}

impl From<Stored> for CommandImage {
    fn from(Stored { name, names, image }: Stored) -> Self {
        Self::Store { name, names, image }
    }
}

/// Resolves the names in a command.
pub(crate) trait Resolver {
    /// Resolves a name in its registry, with the options that podman will use.
    fn in_registry(&self, name: &Reference, asked: &RegistryRequest) -> Result<Meaning, Error>;

    /// An image of bootc's storage, by one of its names or by its id.
    fn in_store(&self, text: &str) -> Result<Stored, Error>;

    /// The exact spelling of an image's name in the storage: podman keeps upper-case letters, and finds no other spelling.
    fn as_stored(&self, image: &LocalImage, name: &str) -> Result<String, Error>;

    /// The canonical path of a build's file or directory. `-` is stdin.
    fn source(&self, command: &Command, text: &str) -> Result<String, Error>;

    /// The canonical path of a file or directory that podman reads or writes.
    fn path(&self, plugin: &PluginId, text: &str, kind: Kind) -> Result<String, Error>;

    /// What needs this name in bootc's storage, in words.
    fn needed_by(&self, name: &Reference) -> Result<Option<String>, Error>;
}

/// Resolves names on this host. Everything is read once, when the first name needs it.
pub(crate) struct Live<'a> {
    context: &'a Context<'a>,
    stored: OnceCell<Option<StoredImages>>,
    needs: OnceCell<Needs>,
}

struct StoredImages {
    store: BootcStore,
    images: Vec<Image>,
}

impl<'a> Live<'a> {
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
        Self { context, stored: OnceCell::new(), needs: OnceCell::new() }
    }

    fn directory(&self) -> Result<&Path, Error> {
        self.context.host.settings.directory.as_deref().ok_or(Error::NoDirectory)
    }

    fn stored(&self) -> Result<Option<&StoredImages>, Error> {
        once(&self.stored, || {
            let host = self.context.host;
            let Some(store) = BootcStore::open(&physical(host.settings)?)? else { return Ok(None) };
            let images = Storage::Bootc(&store).images(host, |images, _| Ok(images.to_vec()))?;
            Ok(Some(StoredImages { store, images }))
        })
        .map(Option::as_ref)
    }

    fn needs(&self) -> Result<&Needs, Error> {
        let settings = self.context.host.settings;
        once(&self.needs, || Ok(Needs::find(&physical(settings)?, settings)?))
    }
}

/// As `OnceCell::get_or_init`, for functions that can fail.
fn once<T>(cell: &OnceCell<T>, find: impl FnOnce() -> Result<T, Error>) -> Result<&T, Error> {
    if let Some(found) = cell.get() {
        return Ok(found);
    }
    let found = find()?;
    Ok(cell.get_or_init(|| found))
}

impl Resolver for Live<'_> {
    fn in_registry(&self, name: &Reference, asked: &RegistryRequest) -> Result<Meaning, Error> {
        let resolve = || {
            let document = registry::manifest(self.context.host.settings, name, &asked.options)?;
            let digest = name.digest().cloned().unwrap_or_else(|| Digest::of(&document));
            let pinned = name.with_digest(digest.clone());
            let instance = registry::instance(self.context.host.settings, &pinned, &document, asked)?;
            Ok(Meaning { digest, instance })
        };
        resolve().map_err(|source| Error::Unresolved { name: name.to_string(), source: Box::new(source) })
    }

    fn in_store(&self, text: &str) -> Result<Stored, Error> {
        let Some(StoredImages { store, images }) = self.stored()? else {
            return Err(StoresError::ImageNotFound { name: text.to_owned(), hint: NOTHING_STORED }.into());
        };
        let (image, name) = in_contents(images, text)?;
        let names = if name.is_none() { image.names.clone() } else { Vec::new() };
        Ok(Stored { name, names, image: local_image(store.root(), image)? })
    }

    fn as_stored(&self, image: &LocalImage, name: &str) -> Result<String, Error> {
        let wanted = Reference::parse_local(name)?;
        let Some(StoredImages { images, .. }) = self.stored()? else { return Ok(name.to_owned()) };
        let image = images.iter().find(|found| found.id == image.id);
        let is_typed = |image: &Image| image.names.iter().any(|stored| stored == name);
        if image.is_some_and(is_typed) {
            return Ok(name.to_owned());
        }
        let stored = image.and_then(|image| image.names_meaning(&wanted).next());
        Ok(stored.map_or_else(|| name.to_owned(), Clone::clone))
    }

    fn source(&self, command: &Command, text: &str) -> Result<String, Error> {
        source(self.directory()?, command, text)
    }

    fn path(&self, plugin: &PluginId, text: &str, kind: Kind) -> Result<String, Error> {
        let mut scopes = self.context.plugins.granted(plugin);
        scopes.retain(|capability| Some(capability.name.as_str()) == kind.capability());
        granted_path(plugin, self.directory()?, text, kind, &scopes)
    }

    fn needed_by(&self, name: &Reference) -> Result<Option<String>, Error> {
        let needs = self.needs()?;
        let image = self.stored()?.and_then(|stored| equivalent(&stored.images, name));
        Ok(needs.of_name(&name.to_string(), image).map(str::to_owned))
    }
}

impl Resolver for Assumed {
    fn in_registry(&self, name: &Reference, _: &RegistryRequest) -> Result<Meaning, Error> {
        let digest = name.digest().unwrap_or(&self.digest).clone();
        Ok(Meaning { instance: digest.clone(), digest })
    }

    fn in_store(&self, text: &str) -> Result<Stored, Error> {
        let name = if is_id(text) { None } else { Some(first_meaning(text)?) };
        Ok(Stored { name, names: Vec::new(), image: self.local() })
    }

    fn as_stored(&self, _: &LocalImage, name: &str) -> Result<String, Error> {
        Ok(name.to_owned())
    }

    fn source(&self, _: &Command, text: &str) -> Result<String, Error> {
        Ok(text.to_owned())
    }

    fn path(&self, _: &PluginId, text: &str, _: Kind) -> Result<String, Error> {
        Ok(text.to_owned())
    }

    fn needed_by(&self, _: &Reference) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
