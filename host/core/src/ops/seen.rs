//! Builds the policy input of operations: every image with its role and its parsed name.

use bootc_image_grammar::{Command, Kind, Purpose, Value};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CommandImage, HostImage, LocalImage, Removal, StoredImage};
use bootc_image_model::policy_input::{Image, Name, Role};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};

/// The part of the policy input that depends on the kind of operation.
pub(crate) struct PolicyInputParts {
    /// For `cmd`: the arguments after the subcommand.
    pub(crate) argv: Vec<String>,
    pub(crate) images: Vec<Image>,
    /// Whether everything that it fetches is pinned by digest.
    pub(crate) pinned: bool,
}

impl PolicyInputParts {
    /// For an operation on these images that fetches only by digest.
    pub(crate) fn images(images: Vec<Image>) -> Self {
        Self { argv: Vec::new(), images, pinned: true }
    }
}

pub(super) fn host(image: &HostImage) -> Image {
    Image {
        role: Role::Source,
        name: Name::of_host(&image.name),
        digest: Some(image.manifest_digest.to_string()),
        attrs: vec![("commit", image.commit.to_string())],
    }
}

pub(super) fn local(name: Option<&Reference>, image: &LocalImage) -> Image {
    Image {
        role: Role::Source,
        name: name.map(|name| Name::new(CONTAINERS_STORAGE, name)),
        digest: Some(image.manifest_digest.to_string()),
        attrs: vec![("id", image.id.clone())],
    }
}

/// An image of a storage under this name, which it may have in another storage.
pub(super) fn named(name: Name, image: &LocalImage) -> Image {
    Image { name: Some(name), ..local(None, image) }
}

/// An image of bootc's storage, which may be damaged.
fn kept(role: Role, name: Option<Name>, id: &str, manifest: Option<&Digest>) -> Image {
    let digest = manifest.map(ToString::to_string);
    Image { role, name, digest, attrs: vec![("id", id.to_owned())] }
}

/// One image for each name that is removed; one without name if the image has none.
pub(super) fn removed(removal: &Removal) -> Vec<Image> {
    let image = |name| kept(Role::Image, name, &removal.id, removal.manifest_digest.as_ref());
    let named = |name: &String| image(Some(Name::in_storage(name)));
    if removal.names.is_empty() { vec![image(None)] } else { removal.names.iter().map(named).collect() }
}

/// A resolved image of a command: one image for each of its names.
pub(super) fn of_command(image: &CommandImage) -> Vec<Image> {
    match image {
        CommandImage::Registry { name, pinned, instance, platform } => vec![Image {
            role: Role::Source,
            name: Some(Name::new(DOCKER, name)),
            digest: pinned.digest().map(ToString::to_string),
            attrs: std::iter::once(("instance", instance.to_string()))
                .chain(platform.iter().map(|platform| ("platform", platform.clone())))
                .collect(),
        }],
        CommandImage::Store { name, names, image } if names.is_empty() => vec![local(name.as_ref(), image)],
        CommandImage::Store { names, image, .. } => {
            names.iter().map(|name| named(Name::in_storage(name), image)).collect()
        }
    }
}

/// A repaired image: one image for each of its names.
pub(super) fn repaired(image: &StoredImage) -> Vec<Image> {
    let manifest = image.manifest_digest.as_ref();
    let named = |name: &String| kept(Role::Target, Some(Name::in_storage(name)), &image.id, manifest);
    image.names.iter().map(named).collect()
}

/// An image of a registry, by digest.
pub(super) fn fetched(reference: &Reference) -> Image {
    Image {
        role: Role::Source,
        name: Some(Name::new(DOCKER, reference)),
        digest: reference.digest().map(ToString::to_string),
        attrs: Vec::new(),
    }
}

pub(super) fn stored(role: Role, name: &Reference) -> Image {
    Image { role, name: Some(Name::new(CONTAINERS_STORAGE, name)), digest: None, attrs: Vec::new() }
}

/// The images that a value of a podman command names. `found` yields the resolved images in the order of their names in the command;
/// two names may have resolved to one image.
pub(super) fn of_value<'a>(
    command: &Command,
    value: &Value<'_>,
    found: &mut impl Iterator<Item = &'a CommandImage>,
    resolved: bool,
) -> Vec<Image> {
    let named = |role, transport, reference: &Reference| Image {
        role,
        digest: reference.digest().map(ToString::to_string),
        name: Some(Name::new(transport, reference)),
        attrs: value.option.map(|option| ("option", option.to_owned())).into_iter().collect(),
    };
    let in_registry = || Reference::parse(value.text.strip_prefix(DOCKER).unwrap_or(value.text)).ok();
    let one = match value.kind {
        Kind::Remote | Kind::Local if resolved => return found.next().map(of_command).unwrap_or_default(),
        Kind::Remote => in_registry().map(|reference| named(Role::Source, DOCKER, &reference)),
        // Local names can only be judged once they are resolved. That contacts no registry, so it need not be denied before.
        Kind::Local => None,
        Kind::Destination => in_registry().map(|reference| named(Role::Target, DOCKER, &reference)),
        Kind::Full => Reference::parse(value.text).ok().map(|reference| {
            let role = if value.purpose == Purpose::SendsTo { Role::Target } else { Role::Source };
            let transport = if reference.registry() == "localhost" { CONTAINERS_STORAGE } else { DOCKER };
            named(role, transport, &reference)
        }),
        Kind::Reference => {
            let is_given = value.option.is_some() || command.does().changes_names();
            let role = if is_given { Role::Target } else { Role::Image };
            Reference::parse_local(value.text)
                .ok()
                .map(|reference| named(role, CONTAINERS_STORAGE, &reference))
        }
        _ => None,
    };
    one.into_iter().collect()
}
