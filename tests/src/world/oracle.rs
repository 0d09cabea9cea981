//! The real programs, asked about a world. Nothing here reads storage the way the code under test does.

use serde_json::Value;

use super::World;

/// Where podman keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// `/var/lib/containers/storage`
    Default,
    /// `/sysroot/ostree/bootc/storage`, called as bootc calls it
    Bootc,
}

impl Store {
    /// A shell function `store_podman` that calls podman on this store.
    pub fn shell(self) -> &'static str {
        match self {
            Store::Default => "store_podman() { podman \"$@\"; }\n",
            Store::Bootc => {
                concat!(include_str!("bootc-podman.sh"), "store_podman() { bootc_podman \"$@\"; }\n")
            }
        }
    }
}

/// Every name of every image, with each digest by which one was pulled. (podman lists an image with n names n times,
/// all n names each time.)
pub fn podman_names(world: &World, store: Store) -> Vec<String> {
    let images: Vec<Value> = podman(world, store, "image list --all --no-trunc --format json");
    let names = images.iter().filter_map(|image| image["Names"].as_array()).flatten();
    sorted(names.map(|name| name.as_str().expect("a name is a string").to_owned()))
}

/// The ids of all images, named or not.
pub fn podman_ids(world: &World, store: Store) -> Vec<String> {
    let images: Vec<Value> = podman(world, store, "image list --all --no-trunc --format json");
    sorted(images.iter().map(|image| image["Id"].as_str().expect("an id is a string").to_owned()))
}

/// `podman image inspect` of one image.
pub fn podman_inspect(world: &World, store: Store, name: &str) -> Value {
    podman::<Vec<Value>>(world, store, &format!("image inspect {name}")).swap_remove(0)
}

/// Runs podman on a store and reads the JSON it prints.
pub fn podman<T: serde::de::DeserializeOwned>(world: &World, store: Store, arguments: &str) -> T {
    world.enter().sh(&format!("{}store_podman {arguments}", store.shell())).ok().json()
}

/// Host images as bootc names them, `docker://` and the like included, from the references that ostree lists.
pub fn host_names(world: &World) -> Vec<String> {
    let images = ostree_refs(world)
        .into_iter()
        .filter_map(|(name, _)| name.strip_prefix("ostree/container/image/").map(unescape));
    sorted(images)
}

/// All references of the ostree repository, and the commits they point at.
pub fn ostree_refs(world: &World) -> Vec<(String, String)> {
    let each = "for ref in $(ostree refs); do echo $ref $(ostree rev-parse $ref); done";
    let refs = world.enter().env("OSTREE_REPO", "/sysroot/ostree/repo").sh(each).ok();
    let pair = |line: &&str| line.split_once(' ').map(|(name, commit)| (name.to_owned(), commit.to_owned()));
    let mut refs: Vec<_> = refs.lines().iter().map(|line| pair(line).expect("a name and a commit")).collect();
    refs.sort();
    refs
}

/// `skopeo inspect`, with the registry up.
pub fn skopeo_inspect(world: &World, reference: &str) -> Value {
    skopeo(world, &format!("inspect {reference}")).json()
}

/// The manifest or index that a reference stands for.
pub fn skopeo_manifest(world: &World, reference: &str) -> Value {
    skopeo(world, &format!("inspect --raw {reference}")).json()
}

/// The digest of [`skopeo_manifest`].
pub fn skopeo_digest(world: &World, reference: &str) -> String {
    let digest = skopeo(world, &format!("inspect --raw {reference} | sha256sum")).stdout;
    format!("sha256:{}", digest.split_whitespace().next().expect("sha256sum prints it first"))
}

/// A store's own index of its images, `overlay-images/images.json`.
pub fn images_json(world: &World, store: Store) -> Value {
    let directory = match store {
        Store::Default => "/var/lib/containers/storage",
        Store::Bootc => "/sysroot/ostree/bootc/storage",
    };
    let index = std::fs::read(world.outside(directory).join("overlay-images/images.json"))
        .expect("the store's index");
    serde_json::from_slice(&index).expect("the index is JSON")
}

fn skopeo(world: &World, arguments: &str) -> crate::Output {
    world.enter().registry(true).sh(&format!("set -o pipefail; skopeo {arguments}")).ok()
}

/// ostree-ext writes every byte of a name that may not be in a reference as `_HEX_`, and `_` as `__`.
fn unescape(escaped: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = escaped.split('_');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    while let (Some(code), Some(rest)) = (parts.next(), parts.next()) {
        match code {
            "" => bytes.push(b'_'),
            code => bytes.push(u8::from_str_radix(code, 16).expect("an escape is in hexadecimal")),
        }
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).expect("names are UTF-8")
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    names
}
