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
use crate::signatures::{self, Required};
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
    fn end(&self, is_needed_again: bool, required: Option<&'a Required>) -> Endpoint<'a> {
        let name = |id| match required {
            Some(required) => Name::Signed(required.name(), id),
            None => Name::Id(id),
        };
        match *self {
            Self::Exported(directory) if is_needed_again => Endpoint::Kept(directory),
            Self::Exported(directory) => Endpoint::Exported(directory),
            Self::Registry(reference, options, platform) => Endpoint::Registry(reference, options, platform),
            Self::Default(store, id) => Endpoint::Default(store, name(id)),
            Self::Bootc(store, id) => Endpoint::Bootc(store, name(id)),
        }
    }

    /// The signatures that it must have to be copied under this name. Signatures of a registry's image are verified when skopeo
    /// fetches it, so the file must demand the same of both references.
    fn required(&self, host: Host<'_>, name: &Reference) -> Result<Option<Required>, Error> {
        let (storage, id) = match *self {
            Self::Registry(fetched, ..) => return signatures::check_fetched(name, fetched).map(|()| None),
            Self::Exported(_) => return signatures::check_unsigned(name).map(|()| None),
            Self::Default(store, id) => (Storage::Default(store), id),
            Self::Bootc(store, id) => (Storage::Bootc(store), id),
        };
        let Some(required) = signatures::required(name)? else { return Ok(None) };
        required.check_name(&storage.names_of(host, id)?)?;
        Ok(Some(required))
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
    /// As [`Transfer::run`] and [`containers::replace`]; [`Error::Damaged`] if a listed image stays damaged; [`Error::Unsigned`];
    /// [`Error::NotDemandedOfFetch`].
    pub fn copy(&self, host: Host<'_>, name: &Reference, diff_ids: &[Digest]) -> Result<(), Error> {
        let required = self.from.required(host, name)?;
        if let Some(damage) = self.to.damage(host, Some(self.id), diff_ids)? {
            self.to.note(host, &damage);
            self.replace_from(host, Which::Damaged, required.as_ref())?;
            // A copy with other layer ids would be a different image to podman.
            if self.to.whole_itself(host, self.id, self.id)?.is_some() {
                return self.to.tag(host, self.id, name);
            }
        }
        Transfer {
            from: self.from.end(false, required.as_ref()),
            to: self.to.end(Name::Reference(name)),
            scratch: self.scratch,
            bytes: self.bytes,
            required: required.as_ref(),
        }
        .run(host.settings, host.reporter)
    }

    /// Fetches the image again and replaces the stored one, which is the same image and keeps its names, so that no signatures are
    /// required of a source on this host. Returns the number of replaced layers.
    ///
    /// # Errors
    /// As [`Transfer::run`] and [`containers::replace`].
    pub fn replace(&self, host: Host<'_>, which: Which) -> Result<usize, Error> {
        self.replace_from(host, which, None)
    }

    fn replace_from(
        &self,
        host: Host<'_>,
        which: Which,
        required: Option<&Required>,
    ) -> Result<usize, Error> {
        let temporary = TemporaryStore::new(&self.to.path())?;
        let driver = self.to.read(|store, _| Ok(store.driver()))?;
        let runroot = self.scratch.directory("run")?;
        Transfer {
            from: self.from.end(true, required),
            to: Endpoint::Temporary(&temporary, driver, &runroot),
            scratch: self.scratch,
            bytes: self.bytes,
            required,
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
