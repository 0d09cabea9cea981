//! Replacing the layers and documents of images of bootc's storage by ones that are fetched anew, whether or not something is
//! known to be wrong with them. No name is given, moved or taken away.

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_containers_storage::{Image, Images, Which, missing_documents};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{HostImage, LocalImage, RepairSource, StoredImage};
use bootc_image_model::reference::Reference;
use bootc_image_model::view::Name;
use bootc_image_os::children::{self, Program};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::{physical, writable_physical};
use bootc_image_stores::images::heal::{Fetch, Source};
use bootc_image_stores::images::local;
use bootc_image_stores::images::names::{LIST_WITH, in_contents, local_image};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::ostree::Repository;
use bootc_image_stores::podman;
use serde::Serialize;

use super::seen::{self, Seen};
use super::{Ask, ForPlugins, Operate, Operation, Report, Resolved};
use crate::assumed::Assumed;
use crate::commands::resolver::{Resolver as _, Stored};
use crate::context::Context;
use crate::error::Error;

/// Replaces the layers of images of bootc's storage by ones that are fetched anew, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Their names or ids, as typed.
    pub images: Vec<String>,
    /// All images instead.
    pub all: bool,
}

/// Replaces the layers and documents of an image of bootc's storage by ones that are fetched anew. Its names stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// Which one.
    pub image: StoredImage,
    /// Where it is fetched from.
    pub from: RepairSource,
}

/// The layers and documents of an image of bootc's storage were replaced.
#[derive(Debug)]
pub struct Repaired {
    /// Which one.
    pub image: StoredImage,
    /// How many layers.
    pub layers: usize,
}

impl Ask for Request {
    /// These images, or all of them; and why those can't be repaired that nobody named.
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let physical = physical(context.host.settings)?;
        let Some(store) = BootcStore::open(&physical)? else {
            return match self.images.first() {
                Some(name) => {
                    Err(StoresError::ImageNotFound { name: name.clone(), list_with: LIST_WITH }.into())
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
            context.host.talk.note("nothing to repair: bootc's storage has no images");
        }
        Ok(Resolved { operations, failed })
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let repair = |name: Option<Reference>, LocalImage { id, manifest_digest }: LocalImage| {
            let names = name.iter().map(Reference::to_string).collect();
            let image = StoredImage { id, manifest_digest: Some(manifest_digest), names };
            Operation::Repair(Repair { from: assumed_source(assumed, name), image })
        };
        // Of what there would be nothing is known.
        if self.all {
            return Ok(vec![repair(None, assumed.local())]);
        }
        let of =
            |image: &String| assumed.in_store(image).map(|Stored { name, image, .. }| repair(name, image));
        self.images.iter().map(of).collect()
    }
}

/// From its registry, as if podman's storage hadn't got it; what is of no registry that must have.
fn assumed_source(assumed: &Assumed, name: Option<Reference>) -> RepairSource {
    match name.and_then(|name| name.in_registry().ok()) {
        Some(name) => RepairSource::Registry { references: vec![name.with_digest(assumed.digest.clone())] },
        None => RepairSource::DefaultStore(assumed.local()),
    }
}

impl Operate for Repair {
    const KIND: &'static str = "repair";

    fn seen(&self, _: bool) -> Option<Seen> {
        let Self { image, from } = self;
        let sources = match from {
            // The same image, so its names here are those that rules are about.
            RepairSource::DefaultStore(held) if image.names.is_empty() => vec![seen::local(None, held)],
            RepairSource::DefaultStore(held) => {
                let of_name = |name: &String| seen::named(Name::in_storage(name), held);
                image.names.iter().map(of_name).collect()
            }
            RepairSource::Host(source) => vec![seen::host(source)],
            RepairSource::Registry { references } => references.iter().map(seen::fetched).collect(),
        };
        Some(Seen::images(sources.into_iter().chain(seen::repaired(image)).collect()))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let Self { image, from } = self;
        let physical = writable_physical(context.host.settings)?;
        let _alone = match &from {
            RepairSource::Registry { references } => {
                local::Held::Fetching(local::fetching(context.host, references)?)
            }
            _ => local::Held::Store(local::alone(context.host, "bootc")?),
        };
        let not_found = || StoresError::ImageNotFound { name: image.to_string(), list_with: LIST_WITH };
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
        context.host.talk.progress(&format!("fetching {image} again"));
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
        storage
            .whole(context.host, &image.to_string(), &image.id)
            .map_err(|error| still_damaged(error.into(), &image))?;
        Ok(Report::Repaired(Repaired { image, layers }))
    }
}

/// An image, and its manifests.
type Found = (StoredImage, Vec<Digest>);

/// The images that are meant, each once.
fn named(images: &Images<'_>, wanted: &[String], all: bool) -> Result<Vec<Found>, StoresError> {
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
    context: &'a Context<'a>,
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
        Ok(Storage::Default(&default).images(self.context.host, |images, others| {
            let Some(found) = images.iter().find(|found| found.id == image.id) else { return Ok(None) };
            let has = |digest: &Digest| found.has_document(digest) || *digest == Digest::of(b"");
            let is_whole = missing.iter().all(has)
                && images.damage(found, others)?.is_none_or(|damage| damage.is_of_metadata());
            is_whole.then(|| local_image(&root, found)).transpose()
        })?)
    }

    /// The host image that became this image. What can't be read became none.
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

/// What nobody could give: a document of another manifest.
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
