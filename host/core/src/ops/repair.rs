//! Repairing images of bootc's storage: fetching their layers and metadata again and replacing them, whether or not damage is known.
//! Names do not change (docs/adr/0012-damaged-images.md).

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_containers_storage::{Image, Images, Which, missing_documents};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{HostImage, LocalImage, RepairSource, StoredImage};
use bootc_image_model::policy_input::Name;
use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes::{self, Program};
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::{physical, writable_physical};
use bootc_image_stores::images::local;
use bootc_image_stores::images::names::{LIST_WITH, NOTHING_STORED, in_contents, local_image};
use bootc_image_stores::images::repair::{Fetch, Source};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::podman;
use serde::Serialize;

use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::commands::resolver::{Resolver as _, Stored};
use crate::context::Context;
use crate::error::Error;

/// Repair images of bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Their names or ids, as typed.
    pub images: Vec<String>,
    /// All images; `images` is empty then.
    pub all: bool,
}

/// Fetches the layers and metadata of an image of bootc's storage again, and replaces them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    pub image: StoredImage,
    /// Where it is fetched from.
    pub from: RepairSource,
}

/// The layers and metadata of an image of bootc's storage were replaced.
#[derive(Debug)]
pub struct Repaired {
    pub image: StoredImage,
    /// The number of layers replaced.
    pub layers: usize,
}

impl Resolve for Request {
    /// With `all`, images without a source do not fail the request; they are returned in `failed`.
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let physical = physical(context.host.settings)?;
        let Some(store) = BootcStore::open(&physical)? else {
            return match self.images.first() {
                Some(name) => {
                    Err(StoresError::ImageNotFound { name: name.clone(), hint: NOTHING_STORED }.into())
                }
                None => Ok(Resolved::default()),
            };
        };
        let found =
            Storage::Bootc(&store).images(context.host, |images, _| named(images, &self.images, self.all))?;
        let sources = Sources { context, physical: &physical, store: &store };
        let (mut operations, mut failed) = (Vec::new(), Vec::new());
        for (image, manifests) in found {
            match sources.of(&image, &manifests) {
                Ok(from) => operations.push(Operation::Repair(Repair { image, from })),
                Err(error) if self.all => failed.push(error),
                Err(error) => return Err(error),
            }
        }
        if self.all && operations.is_empty() && failed.is_empty() {
            context.host.reporter.note("nothing to repair: bootc's storage has no images");
        }
        Ok(Resolved { operations, failed })
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let repair = |name: Option<Reference>, LocalImage { id, manifest_digest }: LocalImage| {
            let names = name.iter().map(Reference::to_string).collect();
            let image = StoredImage { id, manifest_digest: Some(manifest_digest), names };
            Operation::Repair(Repair { from: assumed_source(assumed, name), image })
        };
        // The images of the host are unknown here, so one stands for all.
        if self.all {
            return Ok(vec![repair(None, assumed.local())]);
        }
        let of =
            |image: &String| assumed.in_store(image).map(|Stored { name, image, .. }| repair(name, image));
        self.images.iter().map(of).collect()
    }
}

/// The registry of the name, as if podman's storage did not have the image. Without a registry it can only be podman's storage.
fn assumed_source(assumed: &Assumed, name: Option<Reference>) -> RepairSource {
    match name.and_then(|name| name.in_registry().ok()) {
        Some(name) => RepairSource::Registry { references: vec![name.with_digest(assumed.digest.clone())] },
        None => RepairSource::DefaultStore(assumed.local()),
    }
}

impl Operate for Repair {
    const KIND: &'static str = "repair";

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        let Self { image, from } = self;
        let sources = match from {
            // It is the same image, so its names in bootc's storage are the ones that rules match.
            RepairSource::DefaultStore(held) if image.names.is_empty() => vec![seen::local(None, held)],
            RepairSource::DefaultStore(held) => {
                let of_name = |name: &String| seen::named(Name::in_storage(name), held);
                image.names.iter().map(of_name).collect()
            }
            RepairSource::Host(source) => vec![seen::host(source)],
            RepairSource::Registry { references } => references.iter().map(seen::fetched).collect(),
        };
        Some(PolicyInputParts::images(sources.into_iter().chain(seen::repaired(image)).collect()))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let Self { image, from } = self;
        let physical = writable_physical(context.host.settings)?;
        let _alone = match &from {
            RepairSource::Registry { references } => {
                local::Locks::Fetching(local::fetch_locks(context.host, references)?)
            }
            _ => local::Locks::Store(local::store_lock(context.host, "bootc")?),
        };
        let not_found = || StoresError::ImageNotFound { name: image.to_string(), hint: LIST_WITH };
        let store = BootcStore::open(&physical)?.ok_or_else(not_found)?;
        let storage = Storage::Bootc(&store);
        let is_there =
            storage.images(context.host, |images, _| Ok(images.iter().any(|found| found.id == image.id)))?;
        if !is_there {
            return Err(not_found().into());
        }
        Program::Skopeo.find()?;
        let fetch = |from: Source<'_>, bytes: u64, scratch: &Scratch| {
            Fetch { from, to: storage, id: &image.id, bytes, scratch }.replace(context.host, Which::All)
        };
        context.host.reporter.progress(&format!("fetching {image} again"));
        let layers = match &from {
            RepairSource::DefaultStore(local) => {
                let default = DefaultStore::find()?;
                let bytes = Storage::Default(&default).size_of(context.host, &local.id)?;
                fetch(Source::Default(&default, &local.id), bytes, &Scratch::new()?)?
            }
            RepairSource::Host(host) => {
                let scratch = Scratch::new()?;
                let exported = local::export(context.host, host, &scratch, &store.root().path("."))?;
                fetch(Source::Exported(&exported.directory), exported.bytes, &scratch)?
            }
            RepairSource::Registry { references } => {
                let mut fetched = Err(Error::NoSource { image: image.to_string() });
                for reference in references {
                    fetched = fetch(Source::Registry(reference, &[], &[]), 0, &Scratch::new()?)
                        .map_err(Error::from);
                    // Another registry may have it. Or the digest is of an index, and this host's manifest in it is another image.
                    if !matches!(
                        fetched,
                        Err(Error::Os(OsError::Process { .. })
                            | Error::Os(OsError::Verification { .. })
                            | Error::Storage(StorageError::OtherImage { .. }))
                    ) {
                        break;
                    }
                    processes::check_interrupted()?;
                }
                fetched?
            }
        };
        storage
            .whole(context.host, &image.to_string(), &image.id)
            .map_err(|error| still_damaged(error.into(), &image))?;
        Ok(Report::Repaired(Repaired { image, layers }))
    }
}

/// An image, and the digests of its manifests.
type Found = (StoredImage, Vec<Digest>);

/// The requested images, without duplicates.
fn named(images: &Images<'_>, wanted: &[String], all: bool) -> Result<Vec<Found>, StoresError> {
    let stored = |image: &Image| {
        let (manifest_digest, names) = (image.digest.clone(), image.names.clone());
        (StoredImage { id: image.id.clone(), manifest_digest, names }, image.manifests())
    };
    if all {
        // A manifest list has no layers to repair.
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

/// Finds the source from which an image can be fetched.
struct Sources<'a> {
    context: &'a Context<'a>,
    physical: &'a RootDir,
    store: &'a BootcStore,
}

impl Sources<'_> {
    /// Tries in this order: podman's storage, the ostree repository, the registries of the image's names.
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

    /// The image of podman's storage with this id, if it is intact and has all metadata that is damaged in bootc's storage.
    fn in_default_store(&self, image: &StoredImage) -> Result<Option<LocalImage>, Error> {
        let contents = podman::open_store(self.store.root())?;
        let missing = missing_documents(&contents, None, &image.id)?;
        let default = DefaultStore::find()?;
        let Some(root) = default.open()? else { return Ok(None) };
        Ok(Storage::Default(&default).images(self.context.host, |images, others| {
            let Some(found) = images.iter().find(|found| found.id == image.id) else { return Ok(None) };
            let has = |digest: &Digest| found.has_document(digest) || *digest == Digest::of(b"");
            let is_whole = missing.iter().all(has)
                && images.damage(found, others)?.is_none_or(|damage| damage.is_of_metadata());
            is_whole.then(|| local_image(&root, found)).transpose()
        })?)
    }

    /// The host image from which this image was copied. Host images that cannot be read are skipped.
    fn in_repository(&self, image: &StoredImage) -> Option<HostImage> {
        let repository = Repository::open(self.physical).ok()?;
        let copies = Copies::new(&self.context.host.settings.state);
        let booted = local::booted_image(self.context.host.settings).ok().map(|(image, _)| image);
        let (refs, _) = repository.image_refs().ok()?;
        let refs = refs.into_iter();
        let hosts = refs.filter_map(|found| local::host_image(self.physical, found.name, found.commit).ok());
        booted.into_iter().chain(hosts).find(|host| copies.image_id(host).as_deref() == Some(&image.id))
    }
}

/// References by digest, for each of the image's names that has a registry.
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

/// Replaces the hint: the source did not have the missing metadata, which belongs to another manifest of the image.
fn still_damaged(error: Error, image: &StoredImage) -> Error {
    match error {
        Error::Stores(StoresError::Damaged { image: name, what, .. }) => {
            let hint = format!(
                "the source does not have the missing data either; pull the image again with: bootc-image cmd pull {image}"
            );
            StoresError::Damaged { image: name, what, hint }.into()
        }
        other => other,
    }
}
