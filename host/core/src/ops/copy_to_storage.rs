//! Copying an image of this host to podman's storage. Without a source it copies the booted commit itself: its ref may point to
//! another one by now.

use bootc_image_model::capability::COPIES_IMAGES;
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CopySource, HostImage, LocalImage, UnifiedImage};
use bootc_image_model::policy_input::Role;
use bootc_image_model::reference::{CONTAINERS_STORAGE, InvalidReference, Reference};
use bootc_image_os::processes::Program;
use bootc_image_os::root::RootDir;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::copies::Copies;
use bootc_image_stores::default_store::DefaultStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::{physical, writable_physical};
use bootc_image_stores::images::local::{self, booted_image, host_image, host_refs};
use bootc_image_stores::images::names::{called, for_this_host, local_image, target_name};
use bootc_image_stores::images::repair::{Fetch, Source};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::ostree::ImageRef;
use bootc_image_stores::signatures::check_unsigned;
use bootc_image_stores::{podman, sysroot};
use serde::Serialize;

use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// The name that a copied image gets if none is given, as in bootc.
pub const DEFAULT_TARGET: &str = "localhost/bootc";

/// Copy an image of this host to podman's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name, as typed; none for the booted image.
    pub source: Option<String>,
    /// Its new name; none for [`DEFAULT_TARGET`].
    pub target: Option<String>,
}

/// Copies an image of this host to podman's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyToStorage {
    pub source: CopySource,
    /// Its name in podman's storage.
    pub target: Reference,
}

/// An image was copied to podman's storage.
#[derive(Debug)]
pub struct Copied {
    /// Its name in podman's storage.
    pub target: Reference,
    /// The image there.
    pub image: LocalImage,
    /// Whether it was there before.
    pub unchanged: bool,
}

impl Request {
    fn target(&self) -> Result<Reference, Error> {
        Ok(target_name(self.target.as_deref().unwrap_or(DEFAULT_TARGET))?)
    }
}

impl Resolve for Request {
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let target = self.target()?;
        let source = match &self.source {
            None => match booted_image(context.host.settings)? {
                (image, false) => CopySource::Host(image),
                (image, true) => return Err(Error::Layered { image: image.name }),
            },
            Some(name) => find(context, name)?,
        };
        Ok(Operation::CopyToStorage(CopyToStorage { source, target }).into())
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let target = self.target()?;
        let source = assumed.source(self.source.as_deref())?;
        Ok(vec![Operation::CopyToStorage(CopyToStorage { source, target })])
    }
}

impl Operate for CopyToStorage {
    const KIND: &'static str = "copy-to-storage";

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        let source = match &self.source {
            CopySource::Host(image) => seen::host(image),
            CopySource::Unified(image) => seen::local(Some(&image.name), &image.image),
        };
        Some(PolicyInputParts::images(vec![source, seen::stored(Role::Target, &self.target)]))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Needs(COPIES_IMAGES)
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let Self { source, target } = self;
        let default = DefaultStore::find()?;
        let _alone = local::store_lock(context.host, "default")?;
        if let Some(report) = unchanged(context, &default, &source, &target)? {
            return Ok(report);
        }
        Program::Podman.find()?;
        Program::Skopeo.find()?;
        let scratch = Scratch::new()?;
        let id = match &source {
            CopySource::Host(source) => copy_host(context, &default, source, &target, &scratch)?,
            CopySource::Unified(source) => copy_unified(context, &default, source, &target, &scratch)?,
        };
        let image =
            Storage::Default(&default).check_written(context.host, &target, |image| image.id == id)?;
        if let CopySource::Host(source) = &source {
            Copies::new(&context.host.settings.state).remember(source, &id)?;
        }
        Ok(Report::Copied(Copied { target, image, unchanged: false }))
    }
}

/// The command that gives an image of bootc's storage a name, for hints.
const TAG_WITH: &str = "bootc-image cmd tag";
/// The hint for an image that is not on this host.
const LIST_WITH: &str = "to list images, run: bootc-image list";

/// Resolves a source, which is a name with or without transport. Host images take precedence. The same image in several places is
/// not ambiguous.
fn find(context: &Context<'_>, name: &str) -> Result<CopySource, Error> {
    let physical = physical(context.host.settings)?;
    let mut found = host_sources(&physical, name)?;
    if let Some(store) = BootcStore::open(&physical)? {
        found.extend(unified_sources(context, store.root(), name)?);
    }
    let mut found = found.into_iter();
    let Some(first) = found.next() else {
        // The image may be one of the host images, which cannot be read on composefs.
        if sysroot::is_composefs(&physical)? {
            return Err(StoresError::Composefs.into());
        }
        return Err(match Reference::parse_local(name.strip_prefix(CONTAINERS_STORAGE).unwrap_or(name)) {
            Err(error @ InvalidReference::Malformed { .. }) => error.into(),
            _ => StoresError::ImageNotFound { name: name.to_owned(), hint: LIST_WITH }.into(),
        });
    };
    let others: Vec<CopySource> = found.filter(|other| digest_of(other) != digest_of(&first)).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let candidates = std::iter::once(&first).chain(&others).map(CopySource::name).collect();
    Err(StoresError::Ambiguous { name: name.to_owned(), candidates }.into())
}

fn digest_of(source: &CopySource) -> &Digest {
    match source {
        CopySource::Host(image) => &image.manifest_digest,
        CopySource::Unified(image) => &image.image.manifest_digest,
    }
}

fn host_sources(physical: &RootDir, name: &str) -> Result<Vec<CopySource>, Error> {
    let image = |found: ImageRef| host_image(physical, found.name, found.commit);
    let (found, _) = host_refs(physical, name)?;
    let found = found.into_iter();
    found.map(|found| Ok(CopySource::Host(image(found)?))).collect()
}

fn unified_sources(context: &Context<'_>, root: &RootDir, name: &str) -> Result<Vec<CopySource>, Error> {
    let store = podman::open_store(root)?;
    let images = store.images(context.host.settings.lock_limit, context.host.reporter)?;
    // A name that is invalid here may be the name of a host image.
    let found = called(&images, name.strip_prefix(CONTAINERS_STORAGE).unwrap_or(name)).unwrap_or_default();
    let source = |(image, name)| {
        let image = local_image(root, for_this_host(&images, &name, image, TAG_WITH)?)?;
        Ok(CopySource::Unified(UnifiedImage { name, image }))
    };
    found.into_iter().map(source).collect()
}

/// The report if the target is this image already. No process is started for that.
fn unchanged(
    context: &Context<'_>,
    default: &DefaultStore,
    source: &CopySource,
    target: &Reference,
) -> Result<Option<Report>, Error> {
    let id = match source {
        CopySource::Host(source) => Copies::new(&context.host.settings.state).image_id(source),
        CopySource::Unified(source) => Some(source.image.id.clone()),
    };
    let Some(id) = id else { return Ok(None) };
    let image = Storage::Default(default).held(context.host, target, |image| image.id == id)?;
    Ok(image.map(|image| Report::Copied(Copied { target: target.clone(), image, unchanged: true })))
}

fn copy_host(
    context: &Context<'_>,
    default: &DefaultStore,
    source: &HostImage,
    target: &Reference,
    scratch: &Scratch,
) -> Result<String, Error> {
    // Checked again when it is copied; here it saves the export.
    check_unsigned(target)?;
    let exported = local::export(context.host, source, scratch, default.path())?;
    default.touch(context.host.settings, context.host.reporter)?;
    context.host.reporter.progress(&format!("copying to podman's storage as {target}"));
    Fetch {
        from: Source::Exported(&exported.directory),
        to: Storage::Default(default),
        id: &exported.id,
        bytes: exported.bytes,
        scratch,
    }
    .copy(context.host, target, &exported.diff_ids)?;
    Ok(exported.id)
}

fn copy_unified(
    context: &Context<'_>,
    default: &DefaultStore,
    source: &UnifiedImage,
    target: &Reference,
    scratch: &Scratch,
) -> Result<String, Error> {
    let store = BootcStore::open(&writable_physical(context.host.settings)?)?;
    let store =
        store.ok_or_else(|| StoresError::ImageNotFound { name: source.name.to_string(), hint: LIST_WITH })?;
    let (from, id) = (Storage::Bootc(&store), source.image.id.as_str());
    let diff_ids = from.whole(context.host, &source.name.to_string(), id)?.unwrap_or_default();
    default.touch(context.host.settings, context.host.reporter)?;
    context.host.reporter.progress(&format!("copying {} to podman's storage as {target}", source.name));
    Fetch {
        from: Source::Bootc(&store, id),
        to: Storage::Default(default),
        id,
        bytes: from.size_of(context.host, id)?,
        scratch,
    }
    .copy(context.host, target, &diff_ids)?;
    Ok(id.to_owned())
}
