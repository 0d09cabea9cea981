//! What operations on images of this host share: finding them, and getting them from one storage to another.

use bootc_image_os::error::Error as OsError;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::heal::{Fetch, Source};
use super::storages::Storage;
use super::{Pipeline, physical, running_root};
use crate::error::Error;
use bootc_image_containers_storage::{Image, Images, remove_abandoned};
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{HostImage, LocalImage};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, InvalidReference, Reference};
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

/// How images of bootc's storage are listed.
pub(super) const LIST_WITH: &str = "bootc-image list --type unified";
/// The fewest digits of an id that stand for it.
pub(super) const SHORT_ID: usize = 12;

/// The image of the deployment that is booted, or stands for it with `--sysroot`; and whether packages are layered on it, so
/// that what is booted is no image itself.
pub(super) fn booted_image(settings: &Settings) -> Result<(HostImage, bool), Error> {
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

pub(super) fn host_image(physical: &RootDir, name: String, commit: Commit) -> Result<HostImage, Error> {
    let manifest_digest = Repository::open(physical)?.manifest_digest(&commit)?;
    Ok(HostImage { name, commit, manifest_digest })
}

/// What the name of an image can mean in a containers-storage: a full name itself; a short one what podman's own names for
/// local builds and for the registry without a name begin with.
pub(super) fn meanings(image: &str) -> Result<Vec<Reference>, Error> {
    let names = match Reference::parse(image) {
        Err(InvalidReference::ShortName(_)) => {
            vec![Reference::parse_local(image)?, Reference::parse_local(&format!("docker.io/{image}"))?]
        }
        _ => vec![Reference::parse_local(image)?],
    };
    Ok(names)
}

/// The images of a storage that a name can mean, each with the full name. One that is written just so there is meant: podman
/// keeps capital letters, and so there can be two.
pub(super) fn called<'a>(images: &'a Images<'_>, text: &str) -> Result<Vec<(&'a Image, Reference)>, Error> {
    let just_so = images.iter().find(|image| image.names.iter().any(|name| name == text));
    if let (Some(image), Ok(name)) = (just_so, Reference::parse_local(text)) {
        return Ok(vec![(image, name)]);
    }
    let names = meanings(text)?.into_iter();
    Ok(names.filter_map(|name| Some((images.meant(&name)?, name))).collect())
}

/// An image of bootc's storage, by one of its names, which comes back with it, or by its id.
pub(super) fn in_contents<'a>(
    images: &'a Images<'_>,
    text: &str,
) -> Result<(&'a Image, Option<Reference>), Error> {
    let text = as_named_here(text);
    let mut found: Vec<_> = match by_id(images, text) {
        found if found.is_empty() => {
            called(images, text)?.into_iter().map(|(image, name)| (image, Some(name))).collect()
        }
        found => found.into_iter().map(|image| (image, None)).collect(),
    };
    if found.is_empty() {
        return Err(Error::ImageNotFound { name: text.to_owned(), list_with: LIST_WITH });
    }
    let (first, name) = found.swap_remove(0);
    if found.iter().any(|(image, _)| image.id != first.id) {
        let name_of = |image: &Image, name: &Option<Reference>| {
            name.as_ref().map_or_else(|| image.id.clone(), Reference::to_string)
        };
        let others = found.iter().map(|(image, name)| name_of(image, name));
        let candidates = std::iter::once(name_of(first, &name)).chain(others).collect();
        return Err(Error::Ambiguous { name: text.to_owned(), candidates });
    }
    Ok((first, name))
}

/// A name as lists of this host have it, without the transport that stands in front.
pub(super) fn as_named_here(text: &str) -> &str {
    text.strip_prefix(CONTAINERS_STORAGE).or_else(|| text.strip_prefix(DOCKER)).unwrap_or(text)
}

fn by_id<'a>(images: &'a Images<'_>, text: &str) -> Vec<&'a Image> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id =
        digits.len() >= SHORT_ID && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    images.iter().filter(|image| is_id && image.id.starts_with(digits)).collect()
}

/// The image itself, if the store knows enough of it.
pub(super) fn local_image(root: &RootDir, image: &Image) -> Result<LocalImage, Error> {
    let well_formed = Digest::new(format!("sha256:{}", image.id)).is_ok();
    match (&image.digest, well_formed) {
        (Some(digest), true) => Ok(LocalImage { id: image.id.clone(), manifest_digest: digest.clone() }),
        _ => Err(OsError::Corrupt {
            path: root.path("."),
            why: format!("image {} has no manifest digest", image.id),
            hint: "pull or build the image again with podman",
        }
        .into()),
    }
}

/// One of us at a time copies to a storage: the next one may find that there is nothing left to do. Held until dropped.
/// Before, what killed ones have left is removed.
pub(super) fn alone(pipeline: &Pipeline<'_>, storage: &str) -> Result<File, Error> {
    scratch::remove_abandoned();
    let lock = lock::own(storage, pipeline.settings.change_limit, pipeline.talk)?;
    let path = match storage {
        "bootc" => physical(pipeline.settings)?.path(SUBPATH),
        _ => DefaultStore::find()?.path().to_owned(),
    };
    remove_abandoned(&path);
    Ok(lock)
}

/// Two that fetch one image wait for each other: the second finds it there, or, of an index, would take the image for another
/// machine for its own. A registry that never answers holds up nobody else. Held until dropped.
pub(super) fn fetching<'a>(
    pipeline: &Pipeline<'_>,
    references: impl IntoIterator<Item = &'a Reference>,
) -> Result<Vec<Passing>, Error> {
    scratch::remove_abandoned();
    let name =
        |reference: &Reference| format!("fetch-{}", Digest::of(reference.to_string().as_bytes()).hex());
    // In one order, so that no two wait for each other for ever.
    let names: BTreeSet<String> = references.into_iter().map(name).collect();
    let lock = |name: String| lock::passing(&name, pipeline.settings.change_limit, pipeline.talk);
    Ok(names.into_iter().map(lock).collect::<Result<_, _>>()?)
}

/// What is locked while an image gets into bootc's storage: what is fetched, or the storage itself.
#[expect(dead_code, reason = "a lock is held, and never looked at")]
pub(super) enum Held {
    Fetching(Vec<Passing>),
    Store(File),
}

/// An image that was exported.
pub(super) struct Exported {
    /// Its id will be this one.
    pub(super) id: String,
    pub(super) directory: PathBuf,
    pub(super) bytes: u64,
    /// What its layers are.
    pub(super) diff_ids: Vec<Digest>,
}

/// Exports a commit's image into a scratch directory, from where it goes to `target`; there must be room for both.
pub(super) fn export(
    pipeline: &Pipeline<'_>,
    source: &HostImage,
    scratch: &Scratch,
    target: &Path,
) -> Result<Exported, Error> {
    let directory = scratch.directory("image")?;
    let repository = Repository::open(&physical(pipeline.settings)?)?;
    pipeline.talk.progress(&format!("exporting {}", source.name));
    let mut total = 0;
    pipeline.exporter.export(&repository, &source.commit, &directory, &mut |said| {
        match said {
            Said::Planned { bytes } => {
                total = bytes;
                check_room(scratch.path(), target, bytes)?;
            }
            Said::Written { written } => pipeline.talk.advance(written, total),
        }
        Ok(())
    })?;
    let image = read_oci(&directory)?;
    let (id, diff_ids) = (image.configuration.hex().to_owned(), image.diff_ids);
    Ok(Exported { id, directory, bytes: total, diff_ids })
}

/// Copies an image of podman's storage to bootc's, by its id.
pub(super) fn pull(
    pipeline: &Pipeline<'_>,
    store: &BootcStore,
    image: &LocalImage,
    name: &Reference,
) -> Result<(), Error> {
    let default = DefaultStore::find()?;
    let from = Storage::Default(&default);
    // If it is gone, skopeo finds that out.
    let diff_ids = from.whole(pipeline, &name.to_string(), &image.id)?.unwrap_or_default();
    pipeline.talk.progress(&format!("copying {name} to bootc's storage"));
    Fetch {
        from: Source::Default(&default, &image.id),
        to: Storage::Bootc(store),
        id: &image.id,
        bytes: from.size_of(pipeline, &image.id)?,
        scratch: &Scratch::new()?,
    }
    .copy(pipeline, name, &diff_ids)
}
