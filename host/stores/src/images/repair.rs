//! Copies an image to a storage whose layers may be damaged. podman and skopeo assume that the layers in the index are complete: they
//! neither check nor replace them, and a new image that shares a damaged layer would be damaged as well. So layers are checked first,
//! and damaged ones are fetched again and replaced. See `docs/adr/0012-damaged-images.md`.

use std::path::Path;

use bootc_image_containers_storage::{self as containers, TemporaryStore, Waiting, Which};
use bootc_image_model::digest::Digest;
use bootc_image_model::reference::Reference;
use bootc_image_os::scratch::Scratch;

use super::storages::Storage;
use crate::bootc_store::BootcStore;
use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::host::Host;
use crate::registry;
use crate::transfer::{Endpoint, Name, Transfer};

/// The source of an image. It may be read more than once.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// An exported OCI directory.
    Exported(&'a Path),
    /// A registry: the reference, options of podman for contacting it, and options of skopeo that select the platform.
    Registry(&'a Reference, &'a [String], &'a [String]),
    /// podman's storage, by id.
    Default(&'a DefaultStore, &'a str),
    /// bootc's storage, by id.
    Bootc(&'a BootcStore, &'a str),
}

impl<'a> Source<'a> {
    fn end(&self, is_needed_again: bool) -> Endpoint<'a> {
        match *self {
            Self::Exported(directory) if is_needed_again => Endpoint::Kept(directory),
            Self::Exported(directory) => Endpoint::Exported(directory),
            Self::Registry(reference, options, platform) => Endpoint::Registry(reference, options, platform),
            Self::Default(store, id) => Endpoint::Default(store, Name::Id(id)),
            Self::Bootc(store, id) => Endpoint::Bootc(store, Name::Id(id)),
        }
    }
}

/// A copy of an image to a storage.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    pub from: Source<'a>,
    pub to: Storage<'a>,
    /// Its id.
    pub id: &'a str,
    /// Its size in bytes; 0 if unknown.
    pub bytes: u64,
    pub scratch: &'a Scratch,
}

impl Fetch<'_> {
    /// Repairs the layers that it shares with the storage, then copies it under this name. `diff_ids` are its layers.
    ///
    /// # Errors
    /// As [`Transfer::run`] and [`containers::replace`]; [`Error::Damaged`] if a listed image stays damaged.
    pub fn copy(&self, host: Host<'_>, name: &Reference, diff_ids: &[Digest]) -> Result<(), Error> {
        if let Some(damage) = self.to.damage(host, Some(self.id), diff_ids)? {
            self.to.note(host, &damage);
            self.replace(host, Which::Damaged)?;
            // A copy with other layer ids would be a different image to podman.
            if self.to.whole_itself(host, self.id, self.id)?.is_some() {
                return self.to.tag(host, self.id, name);
            }
        }
        Transfer {
            from: self.from.end(false),
            to: self.to.end(Name::Reference(name)),
            scratch: self.scratch,
            bytes: self.bytes,
        }
        .run(host.settings, host.reporter)
    }

    /// Fetches the image again and replaces the stored one. Returns the number of replaced layers.
    ///
    /// # Errors
    /// As [`Transfer::run`] and [`containers::replace`].
    pub fn replace(&self, host: Host<'_>, which: Which) -> Result<usize, Error> {
        let temporary = TemporaryStore::new(&self.to.path())?;
        let driver = self.to.read(|store, _| Ok(store.driver()))?;
        let runroot = self.scratch.directory("run")?;
        Transfer {
            from: self.from.end(true),
            to: Endpoint::Temporary(&temporary, driver, &runroot),
            scratch: self.scratch,
            bytes: self.bytes,
        }
        .run(host.settings, host.reporter)?;
        let more = self.documents(host, &temporary)?;
        put(host, &self.to, &temporary, self.id, which, &more)
    }

    /// Documents of the stored image that were not fetched with it: the OCI index that it was pulled from, or another manifest.
    fn documents(&self, host: Host<'_>, temporary: &TemporaryStore) -> Result<Vec<Vec<u8>>, Error> {
        let Source::Registry(reference, options, _) = self.from else { return Ok(Vec::new()) };
        let missing = self.to.read(|store, _| {
            containers::missing_documents(store, Some(temporary), self.id).map_err(Error::from)
        })?;
        let document = |digest| registry::manifest(host.settings, &reference.with_digest(digest), options);
        // A document that no longer exists in the registry stays missing.
        Ok(missing.into_iter().filter_map(|digest| document(digest).ok()).collect())
    }
}

/// Replaces the parts of an image in a storage by those in a temporary storage.
pub fn put(
    host: Host<'_>,
    to: &Storage<'_>,
    temporary: &TemporaryStore,
    id: &str,
    which: Which,
    more: &[Vec<u8>],
) -> Result<usize, Error> {
    let waiting = Waiting { limit: host.settings.change_limit, reporter: host.reporter };
    to.read(|store, _| containers::replace(store, temporary, id, which, more, &waiting).map_err(Error::from))
}
