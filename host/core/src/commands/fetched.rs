//! Verifies what podman fetches for `cmd pull` before it gets a name, and replaces damaged layers. podman itself does not verify
//! the layers that it already has (docs/adr/0012-damaged-images.md).

use bootc_image_containers_storage::{Image, Which, named};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CommandImage, LocalImage};
use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes;
use bootc_image_os::scratch::Scratch;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::images::repair::{Fetch, Source};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::mirrors;
use bootc_image_stores::registry::{self, RegistryRequest};
use bootc_image_stores::signatures::check_fetched;
use bootc_image_stores::transfer::{Endpoint, Name as Destination, Transfer};

use crate::context::Context;
use crate::error::Error;

/// Fetches images with `run`, which runs podman. Returns podman's exit code.
pub(crate) fn pull(
    context: &Context<'_>,
    store: &BootcStore,
    images: &[CommandImage],
    asked: &RegistryRequest,
    run: &dyn Fn() -> Result<u8, Error>,
) -> Result<u8, Error> {
    for image in images {
        if let CommandImage::Registry { name, pinned, .. } = image {
            check_fetched(name, pinned)?;
        }
    }
    let prepare = || {
        let prepared = images.iter().map(|image| prepare(context, store, image, asked));
        prepared.collect::<Result<Vec<bool>, _>>().map(|prepared| prepared.contains(&true))
    };
    // Other damage can wait: podman fails if it needs such a layer, and the layer is replaced then or afterwards.
    if Storage::Bootc(store).would_get_worse()? {
        prepare()?;
    }
    let code = run()?;
    // It may have failed because of a damaged layer.
    let code = if code != 0 && prepare()? { run()? } else { code };
    if code != 0 && by_tag(context, store, images, asked)? { Ok(0) } else { Ok(code) }
}

/// Fetches images by their tags, because mirrors do not serve them by digest. Their digests must still be the ones that were
/// judged: skopeo stores no image under another digest, and [`settle`] verifies it again. Returns whether all were fetched: if one
/// cannot be fetched like this, none is, and podman's error stays the reason.
fn by_tag(
    context: &Context<'_>,
    store: &BootcStore,
    images: &[CommandImage],
    asked: &RegistryRequest,
) -> Result<bool, Error> {
    let settings = context.host.settings;
    let storage = Storage::Bootc(store);
    let mut tagged = Vec::new();
    for image in images {
        let CommandImage::Registry { name, pinned, .. } = image else { return Ok(false) };
        let Some(digest) = pinned.digest() else { return Ok(false) };
        // Also if it is in the storage already: podman may have failed because `policy.json` rejects it, and so will skopeo.
        if name.digest().is_some() || !mirrors::serve_only_tags(name)? {
            return Ok(false);
        }
        tagged.push((name, pinned, digest));
    }
    for (name, pinned, digest) in &tagged {
        let Ok(document) = registry::manifest(settings, name, &asked.options) else {
            processes::check_interrupted()?;
            return Ok(false);
        };
        if Digest::of(&document) != **digest {
            return Err(OsError::Verification {
                what: name.to_string(),
                why: format!("its tag no longer refers to the approved digest {digest}"),
            }
            .into());
        }
        check_fetched(pinned, name)?;
    }
    for (name, pinned, _) in &tagged {
        context.host.reporter.note(&format!(
            "fetching {name} by its tag, because a mirror in registries.conf serves only tags; its digest is verified"
        ));
        Transfer {
            from: Endpoint::Registry(name, &asked.options, &asked.platform),
            to: storage.end(Destination::Reference(pinned)),
            scratch: &Scratch::new()?,
            bytes: 0,
            required: None,
        }
        .run(settings, context.host.reporter)?;
    }
    Ok(!tagged.is_empty())
}

/// Replaces damaged layers that an image would share with stored images. Returns whether there were any.
fn prepare(
    context: &Context<'_>,
    store: &BootcStore,
    image: &CommandImage,
    asked: &RegistryRequest,
) -> Result<bool, Error> {
    let CommandImage::Registry { pinned, .. } = image else { return Ok(false) };
    // If the registry does not answer, podman reports it.
    let Ok(configuration) =
        registry::configuration(context.host.settings, pinned, &asked.options, &asked.platform)
    else {
        return Ok(false);
    };
    let storage = Storage::Bootc(store);
    let Some(damage) = storage.damage(context.host, Some(&configuration.id), &configuration.diff_ids)? else {
        return Ok(false);
    };
    storage.note(context.host, &damage);
    replace(context, store, pinned, asked, &configuration.id)?;
    Ok(true)
}

/// Fetches an image again, by digest, and replaces its damaged parts.
fn replace(
    context: &Context<'_>,
    store: &BootcStore,
    reference: &Reference,
    asked: &RegistryRequest,
    id: &str,
) -> Result<(), Error> {
    Fetch {
        from: Source::Registry(reference, &asked.options, &asked.platform),
        to: Storage::Bootc(store),
        id,
        bytes: 0,
        scratch: &Scratch::new()?,
    }
    .replace(context.host, Which::Damaged)?;
    Ok(())
}

/// Verifies an image that was fetched by digest, repairs it if necessary, and then gives it the requested name.
pub(crate) fn settle(
    context: &Context<'_>,
    store: &BootcStore,
    image: &CommandImage,
    asked: &RegistryRequest,
) -> Result<(), Error> {
    let CommandImage::Registry { name, pinned, instance, .. } = image else { return Ok(()) };
    let Some(digest) = pinned.digest() else { return Ok(()) };
    let storage = Storage::Bootc(store);
    let is_it = |image: &Image| image.is_of(digest) && image.is_of(instance);
    let fetched = match storage.held(context.host, pinned, is_it)? {
        Some(fetched) => fetched,
        None => repair(context, store, pinned, &is_it, asked)?,
    };
    if name.digest().is_none() {
        storage.tag(context.host, &fetched.id, name)?;
        storage.check_written(context.host, name, |image| image.id == fetched.id)?;
    }
    Ok(())
}

/// Replaces the damaged parts of an image that podman reported as fetched.
fn repair(
    context: &Context<'_>,
    store: &BootcStore,
    pinned: &Reference,
    is_it: &dyn Fn(&Image) -> bool,
    asked: &RegistryRequest,
) -> Result<LocalImage, Error> {
    let storage = Storage::Bootc(store);
    let found = storage.images(context.host, |images, _| {
        let found = named(images, pinned).filter(|image| is_it(image));
        Ok(found.map(|image| (image.id.clone(), image.manifests().into_iter().next())))
    })?;
    let Some((id, manifest)) = found else {
        return Err(OsError::Verification {
            what: pinned.to_string(),
            why: "the image of this name in bootc's storage is not the one that was approved".to_owned(),
        }
        .into());
    };
    if let Some(damage) = storage.damage(context.host, Some(&id), &[])? {
        storage.note(context.host, &damage);
        // Of a multi-platform index only the manifest for one platform is stored.
        let reference = manifest.map_or_else(|| pinned.clone(), |manifest| pinned.with_digest(manifest));
        replace(context, store, &reference, asked, &id)?;
    }
    Ok(storage.check_written(context.host, pinned, |image| image.id == id)?)
}
