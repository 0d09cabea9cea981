//! Getting an image into a storage whose layers may be damaged. The storage's tools take what its index lists for granted: they
//! neither look at a layer nor replace it, and an image that shares it would be damaged as well. So this is looked at first,
//! and what is damaged is fetched anew and put in its place.

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
use crate::transfer::{End, Name, Transfer};

/// Where an image is taken from; more than once, if need be.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// An OCI directory of ours.
    Exported(&'a Path),
    /// A registry, asked with these options of podman's, and for the machine that these options of skopeo's name.
    Registry(&'a Reference, &'a [String], &'a [String]),
    /// podman's own storage, by id.
    Default(&'a DefaultStore, &'a str),
    /// bootc's, by id.
    Bootc(&'a BootcStore, &'a str),
}

impl<'a> Source<'a> {
    fn end(&self, is_needed_again: bool) -> End<'a> {
        match *self {
            Self::Exported(directory) if is_needed_again => End::Kept(directory),
            Self::Exported(directory) => End::Exported(directory),
            Self::Registry(reference, options, platform) => End::Registry(reference, options, platform),
            Self::Default(store, id) => End::Default(store, Name::Id(id)),
            Self::Bootc(store, id) => End::Bootc(store, Name::Id(id)),
        }
    }
}

/// An image on its way into a storage.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    pub from: Source<'a>,
    pub to: Storage<'a>,
    /// Its id.
    pub id: &'a str,
    /// Its size; 0 if that isn't known.
    pub bytes: u64,
    pub scratch: &'a Scratch,
}

impl Fetch<'_> {
    /// Copies it and gives it this name, after what it would share with what is there is whole. `diff_ids` are its layers.
    ///
    /// # Errors
    /// As [`Transfer::run`] and [`containers::replace`]; [`Error::Damaged`] if what is listed stays damaged.
    pub fn copy(&self, host: Host<'_>, name: &Reference, diff_ids: &[Digest]) -> Result<(), Error> {
        if let Some(damage) = self.to.damage(host, Some(self.id), diff_ids)? {
            self.to.note(host, &damage);
            self.replace(host, Which::Damaged)?;
            // The tools would take what has other layers for another image.
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
        .run(host.settings, host.talk)
    }

    /// Fetches it anew, and puts what was fetched in the place of what is there. Returns how many layers were put there.
    ///
    /// # Errors
    /// As [`Transfer::run`] and [`containers::replace`].
    pub fn replace(&self, host: Host<'_>, which: Which) -> Result<usize, Error> {
        let temporary = TemporaryStore::new(&self.to.path())?;
        let driver = self.to.read(|store, _| Ok(store.driver()))?;
        let runroot = self.scratch.directory("run")?;
        Transfer {
            from: self.from.end(true),
            to: End::Temporary(&temporary, driver, &runroot),
            scratch: self.scratch,
            bytes: self.bytes,
        }
        .run(host.settings, host.talk)?;
        let more = self.documents(host, &temporary)?;
        put(host, &self.to, &temporary, self.id, which, &more)
    }

    /// What the image has here beside what was fetched with it: the index that it came from, or another manifest.
    fn documents(&self, host: Host<'_>, temporary: &TemporaryStore) -> Result<Vec<Vec<u8>>, Error> {
        let Source::Registry(reference, options, _) = self.from else { return Ok(Vec::new()) };
        let missing = self.to.read(|store, _| {
            containers::missing_documents(store, Some(temporary), self.id).map_err(Error::from)
        })?;
        let document = |digest| registry::manifest(host.settings, &reference.with_digest(digest), options);
        // One that isn't there any more is missing afterwards.
        Ok(missing.into_iter().filter_map(|digest| document(digest).ok()).collect())
    }
}

/// Puts an image of a temporary storage in the place of what a storage has of it.
pub fn put(
    host: Host<'_>,
    to: &Storage<'_>,
    temporary: &TemporaryStore,
    id: &str,
    which: Which,
    more: &[Vec<u8>],
) -> Result<usize, Error> {
    let waiting = Waiting { limit: host.settings.change_limit, talk: host.talk };
    to.read(|store, _| containers::replace(store, temporary, id, which, more, &waiting).map_err(Error::from))
}
