//! Copying an image of podman's storage to bootc's: resolved to its id, copied by its id.

use super::{Pipeline, physical, writable_physical};
use crate::bootc_store::BootcStore;
use crate::children::{Program, Scratch};
use crate::digest::Digest;
use crate::error::Error;
use crate::operation::{LocalImage, Operation};
use crate::reference::{InvalidReference, Reference};
use crate::report::Report;
use crate::storage::containers::{Image, Store};
use crate::storage::root::RootDir;

/// How images of podman's storage are listed.
const LIST_WITH: &str = "podman image list";

pub(super) fn resolve(pipeline: &Pipeline<'_>, image: &str) -> Result<Operation, Error> {
    let candidates = meanings(image)?;
    physical(pipeline.settings)?;
    let not_found = || Error::ImageNotFound { name: image.to_owned(), list_with: LIST_WITH };
    let path = &pipeline.settings.default_store;
    let root = match RootDir::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(not_found()),
        root => root.map_err(Error::io("open", path))?,
    };
    let images = Store::open(&root)?.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let found: Vec<(Reference, &Image)> = candidates
        .into_iter()
        .filter_map(|name| {
            let text = name.to_string();
            images.iter().find(|image| image.names.contains(&text)).map(|image| (name, image))
        })
        .collect();
    let Some((name, first)) = found.first() else { return Err(not_found()) };
    if found.iter().any(|(_, image)| image.id != first.id) {
        let candidates = found.iter().map(|(name, _)| name.to_string()).collect();
        return Err(Error::Ambiguous { name: image.to_owned(), candidates });
    }
    Ok(Operation::PullFromDefaultStorage { source: local_image(&root, first)?, name: name.clone() })
}

/// What the name can mean in podman's storage: a full name itself; a short one what podman's own names for local builds
/// and for the registry without a name begin with.
fn meanings(image: &str) -> Result<Vec<Reference>, Error> {
    let names = match Reference::parse(image) {
        Err(InvalidReference::ShortName(_)) => {
            let prefix = if image.contains('/') { "docker.io" } else { "docker.io/library" };
            vec![Reference::parse_local(image)?, Reference::parse_local(&format!("{prefix}/{image}"))?]
        }
        _ => vec![Reference::parse_local(image)?],
    };
    if names.iter().any(|name| name.digest().is_some()) {
        let why = "name it by tag: under a digest alone it would be kept without a name";
        return Err(InvalidReference::Malformed { text: image.to_owned(), why }.into());
    }
    Ok(names)
}

fn local_image(root: &RootDir, image: &Image) -> Result<LocalImage, Error> {
    let well_formed = Digest::new(format!("sha256:{}", image.id)).is_ok();
    match (&image.digest, well_formed) {
        (Some(digest), true) => Ok(LocalImage { id: image.id.clone(), manifest_digest: digest.clone() }),
        _ => Err(Error::Corrupt {
            path: root.path("."),
            why: format!("image {} has no manifest digest", image.id),
            hint: "pull or build the image again with podman",
        }),
    }
}

pub(super) fn execute(pipeline: &Pipeline<'_>, source: LocalImage, name: Reference) -> Result<Report, Error> {
    let settings = pipeline.settings;
    Program::Podman.find()?;
    let store = BootcStore::open_or_create(&writable_physical(settings)?, settings, pipeline.talk)?;
    let driver = Store::open(store.root())?.driver();

    pipeline.talk.progress(&format!("copying {name} to bootc's storage"));
    let runroot = Scratch::new()?;
    let mut podman = store.podman_of_default_store(settings, &runroot)?;
    podman.args(["image", "push", "--remove-signatures", source.id.as_str()]);
    podman.arg(BootcStore::destination(driver, &name.to_string()));
    podman.run_quietly()?;

    let images = Store::open(store.root())?.images(settings.lock_limit, pipeline.talk)?;
    let text = name.to_string();
    match images.iter().find(|image| image.names.contains(&text)) {
        Some(image) if image.id == source.id => Ok(Report::Pulled { source, name }),
        Some(image) => {
            let why = format!("its id is {}, not {}", image.id, source.id);
            Err(Error::Verification { what: text, why })
        }
        None => Err(Error::Verification { what: text, why: "it isn't in bootc's storage".to_owned() }),
    }
}
