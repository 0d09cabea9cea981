//! An operation in the words in which plugins' policies see it: names taken apart, every image with the part that it plays.

use bootc_image_grammar::{Command, Kind, Purpose, Value};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CommandImage, HostImage, LocalImage, Removal, StoredImage};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::view::{Image, Name, Role};

/// What policies see of an operation.
pub(crate) struct Seen {
    /// Of `cmd`: the arguments after the subcommand.
    pub(crate) argv: Vec<String>,
    /// The images that it is about.
    pub(crate) images: Vec<Image>,
    /// Whether everything that it fetches is named by digest.
    pub(crate) pinned: bool,
}

impl Seen {
    /// What is about these images, and fetches nothing but what is named by digest.
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

/// An image of a storage, under a name that it may have elsewhere.
pub(super) fn named(name: Name, image: &LocalImage) -> Image {
    Image { name: Some(name), ..local(None, image) }
}

/// An image of bootc's storage, which may be damaged.
fn kept(role: Role, name: Option<Name>, id: &str, manifest: Option<&Digest>) -> Image {
    let digest = manifest.map(ToString::to_string);
    Image { role, name, digest, attrs: vec![("id", id.to_owned())] }
}

/// An image for each name that goes; of one without a name, only the digest.
pub(super) fn removed(removal: &Removal) -> Vec<Image> {
    let image = |name| kept(Role::Image, name, &removal.id, removal.manifest_digest.as_ref());
    let named = |name: &String| image(Some(Name::in_storage(name)));
    if removal.names.is_empty() { vec![image(None)] } else { removal.names.iter().map(named).collect() }
}

/// What a command was looked up to be about: an image for each name that it has.
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

/// An image for each name that stays.
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

/// The image that a value of a podman command names, if it names one. `found` has what the names of images mean that were
/// looked up, in the order in which they stand in the command: two names may mean one image.
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
        // What a local name means isn't known before it is looked up, and nobody else is asked for that.
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
