//! Images of this host: which one is meant, who works on a storage alone, and how one gets from one storage to another.

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

use super::heal::{Fetch, Source};
use super::storages::Storage;
use crate::bootc_store::{BootcStore, SUBPATH};
use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::export::{Said, read_oci};
use crate::host::{Host, physical, running_root};
use crate::ostree::{ImageRef, Repository};
use crate::sysroot::{self, Deployed};
use crate::transfer::check_room;

/// The image of the deployment that is booted, or stands for it with `--sysroot`; and whether packages are layered on it, so
/// that what is booted is no image itself.
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

/// The refs of host images that a name means: with its transport, as listed, or without. Beside them, why others can't be read.
pub fn host_refs(physical: &RootDir, name: &str) -> Result<(Vec<ImageRef>, Vec<Error>), Error> {
    let repository = "ostree/repo";
    if !physical.exists(repository).map_err(physical.error("examine", repository))? {
        return Ok((Vec::new(), Vec::new()));
    }
    let (refs, problems) = Repository::open(physical)?.image_refs()?;
    let named = |image: &ImageRef| image.name == name || means(&image.name, name);
    Ok((refs.into_iter().filter(named).collect(), problems))
}

/// Whether a host image, listed with its transport, is what a bare name means.
fn means(listed: &str, bare: &str) -> bool {
    let Some((_, rest)) = listed.split_once(':') else { return false };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let same_reference = || match (Reference::parse(rest), Reference::parse(bare)) {
        (Ok(listed), Ok(bare)) => listed.with_default_tag() == bare.with_default_tag(),
        _ => false,
    };
    rest == bare || same_reference()
}

/// One of us at a time copies to a storage: the next one may find that there is nothing left to do. Held until dropped.
/// Before, what killed ones have left is removed.
pub fn alone(host: Host<'_>, storage: &str) -> Result<File, Error> {
    scratch::remove_abandoned();
    let lock = lock::own(storage, host.settings.change_limit, host.talk)?;
    let path = match storage {
        "bootc" => physical(host.settings)?.path(SUBPATH),
        _ => DefaultStore::find()?.path().to_owned(),
    };
    remove_abandoned(&path);
    Ok(lock)
}

/// Two that fetch one image wait for each other: the second finds it there, or, of an index, would take the image for another
/// machine for its own. A registry that never answers holds up nobody else. Held until dropped.
pub fn fetching<'a>(
    host: Host<'_>,
    references: impl IntoIterator<Item = &'a Reference>,
) -> Result<Vec<Passing>, Error> {
    scratch::remove_abandoned();
    let name =
        |reference: &Reference| format!("fetch-{}", Digest::of(reference.to_string().as_bytes()).hex());
    // In one order, so that no two wait for each other for ever.
    let names: BTreeSet<String> = references.into_iter().map(name).collect();
    let lock = |name: String| lock::passing(&name, host.settings.change_limit, host.talk);
    Ok(names.into_iter().map(lock).collect::<Result<_, _>>()?)
}

/// What is locked while an image gets into bootc's storage: what is fetched, or the storage itself.
pub enum Held {
    Fetching(Vec<Passing>),
    Store(File),
}

/// An image that was exported.
pub struct Exported {
    /// Its id will be this one.
    pub id: String,
    pub directory: PathBuf,
    pub bytes: u64,
    /// What its layers are.
    pub diff_ids: Vec<Digest>,
}

/// Exports a commit's image into a scratch directory, from where it goes to `target`; there must be room for both.
pub fn export(
    host: Host<'_>,
    source: &HostImage,
    scratch: &Scratch,
    target: &Path,
) -> Result<Exported, Error> {
    let directory = scratch.directory("image")?;
    let repository = Repository::open(&physical(host.settings)?)?;
    host.talk.progress(&format!("exporting {}", source.name));
    let mut total = 0;
    host.exporter().export(&repository, &source.commit, &directory, &mut |said| {
        match said {
            Said::Planned { bytes } => {
                total = bytes;
                check_room(scratch.path(), target, bytes)?;
            }
            Said::Written { written } => host.talk.advance(written, total),
        }
        Ok(())
    })?;
    let image = read_oci(&directory)?;
    let (id, diff_ids) = (image.configuration.hex().to_owned(), image.diff_ids);
    Ok(Exported { id, directory, bytes: total, diff_ids })
}

/// Copies an image of podman's storage to bootc's, by its id.
pub fn pull(host: Host<'_>, store: &BootcStore, image: &LocalImage, name: &Reference) -> Result<(), Error> {
    let default = DefaultStore::find()?;
    let from = Storage::Default(&default);
    // If it is gone, skopeo finds that out.
    let diff_ids = from.whole(host, &name.to_string(), &image.id)?.unwrap_or_default();
    host.talk.progress(&format!("copying {name} to bootc's storage"));
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
    use super::means;

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
            assert_eq!(means(listed, bare), expected, "{listed} {bare}");
        }
    }
}
