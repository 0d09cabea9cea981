//! Resolves names and ids of images in a storage of this host.

use bootc_image_containers_storage::{Image, Images, equivalent};
use bootc_image_model::digest::{Digest, is_hex};
use bootc_image_model::image::LocalImage;
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, InvalidReference, Reference};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::registry::HERE;

/// The hint for an image that is not in bootc's storage.
pub const LIST_WITH: &str = "to list images, run: bootc-image list --type unified";
/// The same if that storage has no images.
pub const NOTHING_STORED: &str = "bootc's storage has no images yet; to copy one from podman's storage, run: \
     bootc-image pull-from-default-storage IMAGE; to pull one, run: bootc-image cmd pull REGISTRY/REPOSITORY:TAG";
/// The minimum number of an id's digits.
const SHORT_ID: usize = 12;

/// The full names that a name can mean in a containers-storage: a full name only itself, a short one the same name below `localhost/`,
/// where podman puts local builds, and on Docker Hub.
pub fn meanings(image: &str) -> Result<Vec<Reference>, Error> {
    let names = match Reference::parse(image) {
        Err(InvalidReference::ShortName(_)) => {
            vec![Reference::parse_local(image)?, Reference::parse_local(&format!("docker.io/{image}"))?]
        }
        _ => vec![Reference::parse_local(image)?],
    };
    Ok(names)
}

/// The images of a storage that match a name, each with the full name. An image with exactly this spelling has precedence, because
/// podman keeps capital letters, so that there can be two.
pub fn called<'a>(images: &'a [Image], text: &str) -> Result<Vec<(&'a Image, Reference)>, Error> {
    let just_so = images.iter().find(|image| image.names.iter().any(|name| name == text));
    if let (Some(image), Ok(name)) = (just_so, Reference::parse_local(text)) {
        return Ok(vec![(image, name)]);
    }
    let names = meanings(text)?.into_iter();
    Ok(names.filter_map(|name| Some((equivalent(images, &name)?, name))).collect())
}

/// Finds an image of bootc's storage by one of its names, which is returned with it, or by its id.
pub fn in_contents<'a>(images: &'a [Image], text: &str) -> Result<(&'a Image, Option<Reference>), Error> {
    let text = as_named_here(text);
    let mut found: Vec<_> = match by_id(images, text) {
        found if found.is_empty() => {
            called(images, text)?.into_iter().map(|(image, name)| (image, Some(name))).collect()
        }
        found => found.into_iter().map(|image| (image, None)).collect(),
    };
    if found.is_empty() {
        let hint = if images.is_empty() { NOTHING_STORED } else { LIST_WITH };
        return Err(Error::ImageNotFound { name: text.to_owned(), hint });
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

/// Removes the transport from a name, as lists of this host show it.
pub fn as_named_here(text: &str) -> &str {
    text.strip_prefix(CONTAINERS_STORAGE).or_else(|| text.strip_prefix(DOCKER)).unwrap_or(text)
}

fn by_id<'a>(images: &'a [Image], text: &str) -> Vec<&'a Image> {
    let digits = id_digits(text);
    images.iter().filter(|image| digits.is_some_and(|digits| image.id.starts_with(digits))).collect()
}

/// The digits, if the text can be an image's id or its beginning.
pub fn id_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    (digits.len() >= SHORT_ID && is_hex(digits, digits.len())).then_some(digits)
}

/// The image's id and manifest digest, if the storage has both.
pub fn local_image(root: &RootDir, image: &Image) -> Result<LocalImage, Error> {
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

/// The image itself, or, of a manifest list, the image for this host, if the storage has exactly one. `tag_with` is the command that
/// gives an image of this storage a name.
pub fn for_this_host<'a>(
    images: &'a Images<'_>,
    name: &Reference,
    image: &'a Image,
    tag_with: &'static str,
) -> Result<&'a Image, Error> {
    let platforms = images.platforms(image);
    if platforms.is_empty() {
        return Ok(image);
    }
    let stored = |manifest: &Digest| {
        images.iter().find(|found| found.is_of(manifest) && images.platforms(found).is_empty())
    };
    let here = platforms.iter().filter(|(_, architecture)| architecture == HERE);
    if let [(manifest, _)] = here.collect::<Vec<_>>().as_slice()
        && let Some(found) = stored(manifest)
    {
        return Ok(found);
    }
    let in_words = |(manifest, architecture): &(Digest, String)| {
        let architecture = if architecture.is_empty() { "unknown architecture" } else { architecture };
        match stored(manifest) {
            Some(found) => format!("{architecture}: {}", found.id),
            None => format!("{architecture}: not in this storage"),
        }
    };
    Err(Error::ManifestList {
        name: name.to_string(),
        architecture: HERE,
        instances: platforms.iter().map(in_words).collect(),
        tag_with,
    })
}

/// The name for a copy, which must not have a digest, because a copy gets its own.
pub fn target_name(text: &str) -> Result<Reference, Error> {
    let reference = Reference::parse_local(text)?;
    match reference.digest() {
        Some(_) => Err(InvalidReference::Digest(text.to_owned()).into()),
        None => Ok(reference),
    }
}

/// The name in a containers-storage for a host image, whose name has a transport.
pub fn name_in_storage(image: &str) -> Result<Reference, Error> {
    if let Some(rest) = image.strip_prefix(DOCKER) {
        return Ok(Reference::of_docker(rest)?.with_default_tag());
    }
    match image.strip_prefix(CONTAINERS_STORAGE) {
        Some(rest) => Ok(Reference::parse_local(rest)?),
        None => Err(Error::NoName(image.to_owned())),
    }
}

/// The first full name that a name can mean.
pub fn first_meaning(name: &str) -> Result<Reference, Error> {
    meanings(name)?.into_iter().next().ok_or_else(|| Error::NoDestination(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_manifest_digest_is_no_source() {
        let scratch = tempfile::tempdir().unwrap();
        let root = RootDir::open(scratch.path()).unwrap();
        let image = Image::named_in_tests(&["localhost/a:1"]);
        let Err(Error::Os(OsError::Corrupt { why, hint, .. })) = local_image(&root, &image) else { panic!() };
        assert_eq!(why, format!("image {} has no manifest digest", image.id));
        assert_eq!(hint, "pull or build the image again with podman");
    }
}
