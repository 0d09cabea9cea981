//! Replacing the layers and documents of images of bootc's storage by ones that are fetched anew, whether or not something is
//! known to be wrong with them. No name is given, moved or taken away.

use super::heal::{Fetch, Source};
use super::local::{self, LIST_WITH, in_contents, local_image};
use super::storages::Storage;
use super::{Pipeline, physical, writable_physical};
use crate::error::Error;
use crate::operation::Operation;
use crate::report::Report;
use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_containers_storage::{Image, Images, Which, missing_documents};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{HostImage, LocalImage, RepairSource, StoredImage};
use bootc_image_model::reference::Reference;
use bootc_image_os::children::{self, Program};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::podman;

/// The operations that repair these images, or all of them, one for each; and why those can't be repaired that nobody named.
pub(super) fn resolve(
    pipeline: &Pipeline<'_>,
    wanted: &[String],
    all: bool,
) -> Result<(Vec<Operation>, Vec<Error>), Error> {
    let physical = physical(pipeline.settings)?;
    let Some(store) = BootcStore::open(&physical)? else {
        return match wanted.first() {
            Some(name) => Err(Error::ImageNotFound { name: name.clone(), list_with: LIST_WITH }),
            None => Ok((Vec::new(), Vec::new())),
        };
    };
    let found = Storage::Bootc(&store).images(pipeline, |images, _| named(images, wanted, all))?;
    let sources = Sources { pipeline, physical: &physical, store: &store };
    let (mut operations, mut failed) = (Vec::new(), Vec::new());
    for (image, manifests) in found {
        match sources.of(&image, &manifests) {
            Ok(from) => operations.push(Operation::Repair { image, from }),
            Err(error) if all => failed.push(error),
            Err(error) => return Err(error),
        }
    }
    if all && operations.is_empty() && failed.is_empty() {
        pipeline.talk.note("nothing to repair: bootc's storage has no image");
    }
    Ok((operations, failed))
}

/// An image, and its manifests.
type Found = (StoredImage, Vec<Digest>);

/// The images that are meant, each once.
fn named(images: &Images<'_>, wanted: &[String], all: bool) -> Result<Vec<Found>, Error> {
    let stored = |image: &Image| {
        let (manifest_digest, names) = (image.digest.clone(), image.names.clone());
        (StoredImage { id: image.id.clone(), manifest_digest, names }, image.manifests())
    };
    if all {
        // A manifest list has no layers: it is whole or it isn't there.
        let with_layers = images.iter().filter(|image| images.instances(image).is_empty());
        return Ok(with_layers.map(stored).collect());
    }
    let mut found: Vec<Found> = Vec::new();
    for text in wanted {
        let (image, _) = in_contents(images, text)?;
        if found.iter().all(|(known, _)| known.id != image.id) {
            found.push(stored(image));
        }
    }
    Ok(found)
}

/// Where images can be fetched from.
struct Sources<'a> {
    pipeline: &'a Pipeline<'a>,
    physical: &'a RootDir,
    store: &'a BootcStore,
}

impl Sources<'_> {
    /// The first that has the image: podman's storage, the ostree repository, the registries of its names.
    fn of(&self, image: &StoredImage, manifests: &[Digest]) -> Result<RepairSource, Error> {
        if let Some(local) = self.in_default_store(image)? {
            return Ok(RepairSource::DefaultStore(local));
        }
        if let Some(host) = self.in_repository(image) {
            return Ok(RepairSource::Host(host));
        }
        let references = in_registries(image, manifests);
        if references.is_empty() {
            return Err(Error::NoSource { image: image.to_string() });
        }
        Ok(RepairSource::Registry { references })
    }

    /// The image of podman's storage with this id, if it is whole and has every document that is damaged here.
    fn in_default_store(&self, image: &StoredImage) -> Result<Option<LocalImage>, Error> {
        let contents = podman::open_store(self.store.root())?;
        let missing = missing_documents(&contents, None, &image.id)?;
        let default = DefaultStore::find()?;
        let Some(root) = default.open()? else { return Ok(None) };
        Storage::Default(&default).images(self.pipeline, |images, others| {
            let Some(found) = images.iter().find(|found| found.id == image.id) else { return Ok(None) };
            let has = |digest: &Digest| found.has_document(digest) || *digest == Digest::of(b"");
            let is_whole = missing.iter().all(has)
                && images.damage(found, others)?.is_none_or(|damage| damage.is_of_metadata());
            is_whole.then(|| local_image(&root, found)).transpose()
        })
    }

    /// The host image that became this image. What can't be read became none.
    fn in_repository(&self, image: &StoredImage) -> Option<HostImage> {
        let repository = Repository::open(self.physical).ok()?;
        let copies = Copies::new(&self.pipeline.settings.state);
        let booted = local::booted_image(self.pipeline.settings).ok().map(|(image, _)| image);
        let (refs, _) = repository.image_refs().ok()?;
        let refs = refs.into_iter();
        let hosts = refs.filter_map(|found| local::host_image(self.physical, found.name, found.commit).ok());
        booted.into_iter().chain(hosts).find(|host| copies.image_id(host).as_deref() == Some(&image.id))
    }
}

/// The image by digest in each registry in which it has a name.
fn in_registries(image: &StoredImage, manifests: &[Digest]) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    for name in &image.names {
        let Some(name) = Reference::parse_local(name).ok().and_then(|name| name.in_registry().ok()) else {
            continue;
        };
        for digest in manifests.iter().chain(name.digest()) {
            let reference = name.with_digest(digest.clone());
            if !references.contains(&reference) {
                references.push(reference);
            }
        }
    }
    references
}

pub(super) fn execute(
    pipeline: &Pipeline<'_>,
    image: StoredImage,
    from: &RepairSource,
) -> Result<Report, Error> {
    let physical = writable_physical(pipeline.settings)?;
    let _alone = match from {
        RepairSource::Registry { references } => {
            local::Held::Fetching(local::fetching(pipeline, references)?)
        }
        _ => local::Held::Store(local::alone(pipeline, "bootc")?),
    };
    let not_found = || Error::ImageNotFound { name: image.to_string(), list_with: LIST_WITH };
    let store = BootcStore::open(&physical)?.ok_or_else(not_found)?;
    let storage = Storage::Bootc(&store);
    let is_there =
        storage.images(pipeline, |images, _| Ok(images.iter().any(|found| found.id == image.id)))?;
    if !is_there {
        return Err(not_found());
    }
    Program::Skopeo.find()?;
    let fetch = |from: Source<'_>, bytes: u64, scratch: &Scratch| {
        Fetch { from, to: storage, id: &image.id, bytes, scratch }.replace(pipeline, Which::All)
    };
    pipeline.talk.progress(&format!("fetching {image} again"));
    let layers = match from {
        RepairSource::DefaultStore(local) => {
            let default = DefaultStore::find()?;
            let bytes = Storage::Default(&default).size_of(pipeline, &local.id)?;
            fetch(Source::Default(&default, &local.id), bytes, &Scratch::new()?)?
        }
        RepairSource::Host(host) => {
            let scratch = Scratch::new()?;
            let exported = local::export(pipeline, host, &scratch, &store.root().path("."))?;
            fetch(Source::Exported(&exported.directory), exported.bytes, &scratch)?
        }
        RepairSource::Registry { references } => {
            let mut fetched = Err(Error::NoSource { image: image.to_string() });
            for reference in references {
                fetched = fetch(Source::Registry(reference, &[], &[]), 0, &Scratch::new()?);
                // Another registry may have it; or it was an index, of which the image for this machine is another one.
                if !matches!(
                    fetched,
                    Err(Error::Os(OsError::Child { .. })
                        | Error::Os(OsError::Verification { .. })
                        | Error::Storage(StorageError::OtherImage { .. }))
                ) {
                    break;
                }
                children::check_not_asked_to_end()?;
            }
            fetched?
        }
    };
    storage.whole(pipeline, &image.to_string(), &image.id).map_err(|error| still_damaged(error, &image))?;
    Ok(Report::Repaired { image, layers })
}

/// What nobody could give: a document of another manifest.
fn still_damaged(error: Error, image: &StoredImage) -> Error {
    match error {
        Error::Damaged { image: name, what, .. } => {
            let hint = format!(
                "the source has no copy of what is missing either; pull the image again with: bootc-image cmd pull {image}"
            );
            Error::Damaged { image: name, what, hint }
        }
        other => other,
    }
}
