//! Images of this host: finding one, locking a storage, and copying between storages.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use bootc_image_containers_storage::remove_abandoned;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{HostImage, LocalImage};
use bootc_image_model::reference::Reference;
use bootc_image_model::settings::Settings;
use bootc_image_os::lock::{self, Passing};
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::{self, Scratch};

use super::repair::{Fetch, Source};
use super::storages::Storage;
use crate::bootc_store::{BootcStore, SUBPATH};
use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::export::{ExportEvent, read_oci};
use crate::host::{Host, physical, running_root};
use crate::ostree::{ImageRef, Repository};
use crate::sysroot::{self, Deployed};
use crate::transfer::check_room;

/// The image of the booted deployment, or of the default one with `--sysroot`, and whether packages are layered on it, so that the
/// booted commit itself is not an image.
pub fn booted_image(settings: &Settings) -> Result<(HostImage, bool), Error> {
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

pub fn host_image(physical: &RootDir, name: String, commit: Commit) -> Result<HostImage, Error> {
    let manifest_digest = Repository::open(physical)?.manifest_digest(&commit)?;
    Ok(HostImage { name, commit, manifest_digest })
}

/// The image refs that match a name, which may have its transport, as in lists, or not. Also returns the errors of unreadable refs.
pub fn host_refs(physical: &RootDir, name: &str) -> Result<(Vec<ImageRef>, Vec<Error>), Error> {
    let repository = "ostree/repo";
    if !physical.exists(repository).map_err(physical.error("examine", repository))? {
        return Ok((Vec::new(), Vec::new()));
    }
    let (refs, problems) = Repository::open(physical)?.image_refs()?;
    let named = |image: &ImageRef| image.name == name || matches_name(&image.name, name);
    Ok((refs.into_iter().filter(named).collect(), problems))
}

/// Whether a listed name with its transport is equal to a name without one.
fn matches_name(listed: &str, bare: &str) -> bool {
    let Some((_, rest)) = listed.split_once(':') else { return false };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let same_reference = || match (Reference::parse(rest), Reference::parse(bare)) {
        (Ok(listed), Ok(bare)) => listed.with_default_tag() == bare.with_default_tag(),
        _ => false,
    };
    rest == bare || same_reference()
}

/// Locks a storage, so that only one bootc-image at a time writes to it: a second one may find that there is nothing left to do. Held
/// until dropped. First removes what killed processes have left behind.
pub fn store_lock(host: Host<'_>, storage: &str) -> Result<File, Error> {
    scratch::remove_abandoned();
    let lock = lock::own(storage, host.settings.change_limit, host.reporter)?;
    let path = match storage {
        "bootc" => physical(host.settings)?.path(SUBPATH),
        _ => DefaultStore::find()?.path().to_owned(),
    };
    remove_abandoned(&path);
    Ok(lock)
}

/// Locks references that are about to be pulled, so that two processes do not pull the same one at the same time: the second one might
/// take the image for another platform of an index for its own. Pulls of other references are not blocked. Held until dropped.
pub fn fetch_locks<'a>(
    host: Host<'_>,
    references: impl IntoIterator<Item = &'a Reference>,
) -> Result<Vec<Passing>, Error> {
    scratch::remove_abandoned();
    let name =
        |reference: &Reference| format!("fetch-{}", Digest::of(reference.to_string().as_bytes()).hex());
    // In sorted order, so that there is no deadlock.
    let names: BTreeSet<String> = references.into_iter().map(name).collect();
    let lock = |name: String| lock::passing(&name, host.settings.change_limit, host.reporter);
    Ok(names.into_iter().map(lock).collect::<Result<_, _>>()?)
}

/// The locks that are held while an image is copied to bootc's storage: of the references, or of the storage.
pub enum Locks {
    Fetching(Vec<Passing>),
    Store(File),
}

/// An exported image.
pub struct Exported {
    /// Its future id.
    pub id: String,
    pub directory: PathBuf,
    pub bytes: u64,
    /// The digests of its layers.
    pub diff_ids: Vec<Digest>,
}

/// Exports a commit's image to a scratch directory, to be copied to `target`; there must be enough free space for both.
pub fn export(
    host: Host<'_>,
    source: &HostImage,
    scratch: &Scratch,
    target: &Path,
) -> Result<Exported, Error> {
    let directory = scratch.directory("image")?;
    let repository = Repository::open(&physical(host.settings)?)?;
    host.reporter.progress(&format!("exporting {}", source.name));
    let mut total = 0;
    host.exporter().export(&repository, &source.commit, &directory, &mut |event| {
        match event {
            ExportEvent::Planned { bytes } => {
                total = bytes;
                check_room(scratch.path(), target, bytes)?;
            }
            ExportEvent::Written { written } => host.reporter.advance(written, total),
        }
        Ok(())
    })?;
    let image = read_oci(&directory)?;
    let (id, diff_ids) = (image.configuration.hex().to_owned(), image.diff_ids);
    Ok(Exported { id, directory, bytes: total, diff_ids })
}

/// Copies an image from podman's storage to bootc's, by its id.
pub fn pull(host: Host<'_>, store: &BootcStore, image: &LocalImage, name: &Reference) -> Result<(), Error> {
    let default = DefaultStore::find()?;
    let from = Storage::Default(&default);
    // If it was removed meanwhile, skopeo reports an error.
    let diff_ids = from.whole(host, &name.to_string(), &image.id)?.unwrap_or_default();
    host.reporter.progress(&format!("copying {name} to bootc's storage"));
    Fetch {
        from: Source::Default(&default, &image.id),
        to: Storage::Bootc(store),
        id: &image.id,
        bytes: from.size_of(host, &image.id)?,
        scratch: &Scratch::new()?,
    }
    .copy(host, name, &diff_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_without_an_image_is_named_by_its_commit() {
        let scratch = tempfile::tempdir().unwrap();
        let (commit, _) = crate::host::doubles::deploy(scratch.path());
        let error = booted_image(&crate::host::doubles::settings(scratch.path())).unwrap_err();
        assert_eq!(error.to_string(), format!("deployment {commit} was not made from a container image"));
    }

    #[test]
    fn a_bare_name_means_an_image_whatever_its_transport() {
        for (listed, bare, expected) in [
            ("docker://quay.io/a:1", "quay.io/a:1", true),
            ("docker://quay.io/a", "quay.io/a:latest", true),
            ("docker://quay.io/a:latest", "quay.io/a", true),
            ("oci:/var/x:y", "/var/x:y", true),
            ("containers-storage:localhost/a:1", "localhost/a:1", true),
            ("docker://quay.io/a:1", "quay.io/a:2", false),
            ("docker://quay.io/a:1", "a:1", false),
            ("docker://quay.io/a:1", "docker://quay.io/a:1", false),
        ] {
            assert_eq!(matches_name(listed, bare), expected, "{listed} {bare}");
        }
    }
}
