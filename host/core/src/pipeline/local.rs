//! What operations on images of this host share: finding them, and getting them from one storage to another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::{Pipeline, physical, running_root};
use crate::bootc_store::{ALIAS, BootcStore};
use crate::children::{self, Child, Program};
use crate::digest::{Commit, Digest};
use crate::error::Error;
use crate::export::{OciImage, Said, read_oci};
use crate::lock_watch::LockWatch;
use crate::operation::{HostImage, LocalImage};
use crate::reference::{InvalidReference, Reference};
use crate::scratch::{self, Scratch};
use crate::settings::Settings;
use crate::storage::containers::{Image, Images, Store};
use crate::storage::default_store;
use crate::storage::lock;
use crate::storage::ostree::Repository;
use crate::storage::root::RootDir;
use crate::storage::sysroot;
use crate::talk::Talk;
use crate::transfer::Transfer;

/// podman's own storage.
pub(super) struct DefaultStore {
    pub(super) path: PathBuf,
}

impl DefaultStore {
    pub(super) fn find() -> Result<Self, Error> {
        Ok(Self { path: default_store::find(&running_root()?)?.graphroot })
    }

    /// The storage, none if nothing has been kept in it yet.
    pub(super) fn open(&self) -> Result<Option<RootDir>, Error> {
        match RootDir::open(&self.path) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", &self.path)(error)),
        }
    }

    /// podman must touch its storage before skopeo does: it decides on the network then. It also says where it keeps its
    /// images, which must be where we look for them.
    pub(super) fn touch(&self, settings: &Settings, talk: &dyn Talk) -> Result<(), Error> {
        // It would wait for its locks without a word.
        LockWatch::new([&self.path], settings.change_limit).wait(talk)?;
        let mut podman = Child::new(Program::Podman, &settings.proxies)?;
        podman.args(["system", "info", "--format", "{{.Store.GraphRoot}}"]);
        let mut said = String::new();
        podman.run_in_conversation(&mut |_, stdout| {
            said = std::io::read_to_string(stdout).map_err(Error::io("read from", "podman"))?;
            Ok(())
        })?;
        let podman = PathBuf::from(said.trim_end());
        children::check_not_asked_to_end()?;
        let same = podman == self.path
            || fs::canonicalize(&podman)
                .ok()
                .is_some_and(|there| Some(there) == fs::canonicalize(&self.path).ok());
        if same { Ok(()) } else { Err(Error::OtherStore { podman, configured: self.path.clone() }) }
    }
}

/// The deployment that is booted, or stands for it with `--sysroot`, as an image.
pub(super) fn booted_image(settings: &Settings) -> Result<HostImage, Error> {
    let physical = physical(settings)?;
    let deployment = match settings.sysroot {
        Some(_) => sysroot::default(&physical)?,
        None => sysroot::booted(&physical, &running_root()?)?,
    };
    host_image(&physical, deployment.image(&physical)?, deployment.commit)
}

pub(super) fn host_image(physical: &RootDir, name: String, commit: Commit) -> Result<HostImage, Error> {
    let manifest_digest = Repository::open(physical)?.manifest_digest(&commit)?;
    Ok(HostImage { name, commit, manifest_digest })
}

/// The storage tools remember in their run directory what the kernel can't do. After a failure they may have learnt that from
/// the failure itself, and would refuse to work until the next boot: so they forget it, and look again.
pub(super) fn forget_missing_features() {
    let default = running_root().and_then(|root| default_store::find(&root)).map(|places| places.runroot);
    for runroot in std::iter::once(PathBuf::from(ALIAS)).chain(default) {
        let features = fs::read_dir(runroot.join("overlay")).into_iter().flatten().flatten();
        for feature in features.filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b"-false")) {
            // If it can't be removed, it isn't forgotten.
            let _ = fs::remove_file(feature.path());
        }
    }
}

/// What the name of an image can mean in a containers-storage: a full name itself; a short one what podman's own names for
/// local builds and for the registry without a name begin with.
pub(super) fn meanings(image: &str) -> Result<Vec<Reference>, Error> {
    let names = match Reference::parse(image) {
        Err(InvalidReference::ShortName(_)) => {
            let prefix = if image.contains('/') { "docker.io" } else { "docker.io/library" };
            vec![Reference::parse_local(image)?, Reference::parse_local(&format!("{prefix}/{image}"))?]
        }
        _ => vec![Reference::parse_local(image)?],
    };
    Ok(names)
}

/// The image itself, if the store knows enough of it.
pub(super) fn local_image(root: &RootDir, image: &Image) -> Result<LocalImage, Error> {
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

/// The image with this name and id, if all of it is there.
pub(super) fn whole(
    root: &RootDir,
    images: &Images<'_>,
    name: &Reference,
    wanted: impl Fn(&Image) -> bool,
) -> Result<Option<LocalImage>, Error> {
    match images.named(name).filter(|image| wanted(image)) {
        Some(image) if images.is_whole(image)? => local_image(root, image).map(Some),
        _ => Ok(None),
    }
}

/// As [`whole`], after something was written: that the name means something else is an error then.
pub(super) fn check_written(
    pipeline: &Pipeline<'_>,
    root: &RootDir,
    name: &Reference,
    id: &str,
) -> Result<LocalImage, Error> {
    let store = Store::open(root)?;
    let images = store.images(pipeline.settings.lock_limit, pipeline.talk)?;
    if let Some(image) = whole(root, &images, name, |image| image.id == id)? {
        return Ok(image);
    }
    let why = match images.named(name) {
        Some(image) if image.id == id => "it isn't whole".to_owned(),
        Some(image) => format!("its id is {}, not {id}", image.id),
        None => format!("it isn't in {}", root.path(".").display()),
    };
    Err(Error::Verification { what: name.to_string(), why })
}

/// One of us at a time copies to a storage: the next one may find that there is nothing left to do. Held until dropped.
/// Before, what killed ones have left is removed.
pub(super) fn alone(pipeline: &Pipeline<'_>, storage: &str) -> Result<File, Error> {
    scratch::remove_abandoned();
    lock::own(storage, pipeline.settings.change_limit, pipeline.talk)
}

/// An image that was exported.
pub(super) struct Exported {
    pub(super) image: OciImage,
    pub(super) directory: PathBuf,
    pub(super) bytes: u64,
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
            Said::Planned { bytes, .. } => {
                total = bytes;
                check_room(scratch.path(), target, bytes)?;
            }
            Said::Written { written } => pipeline.talk.advance(written, total),
        }
        Ok(())
    })?;
    Ok(Exported { image: read_oci(&directory)?, directory, bytes: total })
}

/// There must be room for an image of this size on its way and in its place, which may be on one file system.
pub(super) fn check_room(scratch: &Path, target: &Path, bytes: u64) -> Result<(), Error> {
    let target = target.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
    let needs = if device(scratch) == device(target) {
        vec![(scratch, bytes.saturating_mul(2))]
    } else {
        vec![(scratch, bytes), (target, bytes)]
    };
    for (path, need) in needs {
        let system = statvfs(path).map_err(|error| Error::io("examine", path)(error.into()))?;
        let available = system.f_bavail.saturating_mul(system.f_frsize);
        if available < need {
            return Err(Error::NoRoom { path: path.to_owned(), need, available });
        }
    }
    Ok(())
}

/// Copies an exported image to where `skopeo` sees it as `target`.
pub(super) fn transfer_exported(
    pipeline: &Pipeline<'_>,
    skopeo: Child,
    exported: &Exported,
    scratch: &Scratch,
    target: String,
    target_path: PathBuf,
) -> Result<(), Error> {
    Transfer {
        skopeo,
        source: format!("oci:{}", exported.directory.display()),
        target,
        scratch,
        expendable: Some(&exported.directory),
        bytes: exported.bytes,
        storages: vec![target_path],
    }
    .run(pipeline.settings, pipeline.talk)
}

/// Copies an image of podman's storage to bootc's, by its id.
pub(super) fn pull(
    pipeline: &Pipeline<'_>,
    store: &BootcStore,
    image: &LocalImage,
    name: &Reference,
) -> Result<(), Error> {
    let default = DefaultStore::find()?;
    let scratch = Scratch::new()?;
    let target_path = store.root().path(".");
    let bytes = size_of(pipeline, default.open()?.as_ref(), image)?;
    check_room(scratch.path(), &target_path, bytes)?;
    pipeline.talk.progress(&format!("copying {name} to bootc's storage"));
    Transfer {
        skopeo: store.skopeo(pipeline.settings)?,
        source: format!("containers-storage:@{}", image.id),
        target: store.reference(&name.to_string())?,
        scratch: &scratch,
        expendable: None,
        bytes,
        storages: vec![default.path, target_path],
    }
    .run(pipeline.settings, pipeline.talk)
}

/// How large an image of a storage is; 0 if it is gone, which its user will find out.
pub(super) fn size_of(
    pipeline: &Pipeline<'_>,
    root: Option<&RootDir>,
    image: &LocalImage,
) -> Result<u64, Error> {
    let Some(root) = root else { return Ok(0) };
    let store = Store::open(root)?;
    let images = store.images(pipeline.settings.lock_limit, pipeline.talk)?;
    images.iter().find(|found| found.id == image.id).map_or(Ok(0), |found| images.size(found))
}
