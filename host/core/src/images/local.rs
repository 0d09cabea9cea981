//! What operations on images of this host share: finding them, and getting them from one storage to another.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::heal::{Fetch, Source};
use super::storages::Storage;
use crate::context::{Context, physical, running_root};
use crate::error::Error;
use bootc_image_containers_storage::remove_abandoned;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{HostImage, LocalImage};
use bootc_image_model::reference::Reference;
use bootc_image_model::settings::Settings;
use bootc_image_os::lock::{self, Passing};
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::{self, Scratch};
use bootc_image_stores::bootc_store::{BootcStore, SUBPATH};
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::export::{Said, read_oci};
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::sysroot::{self, Deployed};
use bootc_image_stores::transfer::check_room;

/// The image of the deployment that is booted, or stands for it with `--sysroot`; and whether packages are layered on it, so
/// that what is booted is no image itself.
pub(crate) fn booted_image(settings: &Settings) -> Result<(HostImage, bool), Error> {
    let physical = physical(settings)?;
    if sysroot::is_composefs(&physical)? {
        return Err(Error::Composefs);
    }
    let deployment = match settings.sysroot {
        Some(_) => sysroot::default(&physical)?,
        None => sysroot::booted(&physical, &running_root()?)?,
    };
    match deployment.deployed(&physical)? {
        Deployed { name: Some(name), image: Some((commit, manifest_digest)), is_layered } => {
            Ok((HostImage { name, commit, manifest_digest }, is_layered))
        }
        _ => Err(Error::NotFromImage(deployment.commit.to_string())),
    }
}

pub(crate) fn host_image(physical: &RootDir, name: String, commit: Commit) -> Result<HostImage, Error> {
    let manifest_digest = Repository::open(physical)?.manifest_digest(&commit)?;
    Ok(HostImage { name, commit, manifest_digest })
}

/// One of us at a time copies to a storage: the next one may find that there is nothing left to do. Held until dropped.
/// Before, what killed ones have left is removed.
pub(crate) fn alone(context: &Context<'_>, storage: &str) -> Result<File, Error> {
    scratch::remove_abandoned();
    let lock = lock::own(storage, context.settings.change_limit, context.talk)?;
    let path = match storage {
        "bootc" => physical(context.settings)?.path(SUBPATH),
        _ => DefaultStore::find()?.path().to_owned(),
    };
    remove_abandoned(&path);
    Ok(lock)
}

/// Two that fetch one image wait for each other: the second finds it there, or, of an index, would take the image for another
/// machine for its own. A registry that never answers holds up nobody else. Held until dropped.
pub(crate) fn fetching<'a>(
    context: &Context<'_>,
    references: impl IntoIterator<Item = &'a Reference>,
) -> Result<Vec<Passing>, Error> {
    scratch::remove_abandoned();
    let name =
        |reference: &Reference| format!("fetch-{}", Digest::of(reference.to_string().as_bytes()).hex());
    // In one order, so that no two wait for each other for ever.
    let names: BTreeSet<String> = references.into_iter().map(name).collect();
    let lock = |name: String| lock::passing(&name, context.settings.change_limit, context.talk);
    Ok(names.into_iter().map(lock).collect::<Result<_, _>>()?)
}

/// What is locked while an image gets into bootc's storage: what is fetched, or the storage itself.
#[expect(dead_code, reason = "a lock is held, and never looked at")]
pub(crate) enum Held {
    Fetching(Vec<Passing>),
    Store(File),
}

/// An image that was exported.
pub(crate) struct Exported {
    /// Its id will be this one.
    pub(crate) id: String,
    pub(crate) directory: PathBuf,
    pub(crate) bytes: u64,
    /// What its layers are.
    pub(crate) diff_ids: Vec<Digest>,
}

/// Exports a commit's image into a scratch directory, from where it goes to `target`; there must be room for both.
pub(crate) fn export(
    context: &Context<'_>,
    source: &HostImage,
    scratch: &Scratch,
    target: &Path,
) -> Result<Exported, Error> {
    let directory = scratch.directory("image")?;
    let repository = Repository::open(&physical(context.settings)?)?;
    context.talk.progress(&format!("exporting {}", source.name));
    let mut total = 0;
    context.exporter().export(&repository, &source.commit, &directory, &mut |said| {
        match said {
            Said::Planned { bytes } => {
                total = bytes;
                check_room(scratch.path(), target, bytes)?;
            }
            Said::Written { written } => context.talk.advance(written, total),
        }
        Ok(())
    })?;
    let image = read_oci(&directory)?;
    let (id, diff_ids) = (image.configuration.hex().to_owned(), image.diff_ids);
    Ok(Exported { id, directory, bytes: total, diff_ids })
}

/// Copies an image of podman's storage to bootc's, by its id.
pub(crate) fn pull(
    context: &Context<'_>,
    store: &BootcStore,
    image: &LocalImage,
    name: &Reference,
) -> Result<(), Error> {
    let default = DefaultStore::find()?;
    let from = Storage::Default(&default);
    // If it is gone, skopeo finds that out.
    let diff_ids = from.whole(context, &name.to_string(), &image.id)?.unwrap_or_default();
    context.talk.progress(&format!("copying {name} to bootc's storage"));
    Fetch {
        from: Source::Default(&default, &image.id),
        to: Storage::Bootc(store),
        id: &image.id,
        bytes: from.size_of(context, &image.id)?,
        scratch: &Scratch::new()?,
    }
    .copy(context, name, &diff_ids)
}
