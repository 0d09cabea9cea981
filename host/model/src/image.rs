//! The resolved images of operations.

use std::fmt;

use serde::Serialize;

use crate::digest::{Commit, Digest};
use crate::reference::{CONTAINERS_STORAGE, Reference};

/// An image to be removed, or names of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Id of the image.
    pub id: String,
    /// Its manifest, if the storage has it: a damaged image can be removed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// The names that are removed.
    pub names: Vec<String>,
    /// Whether the image is removed too, because it has no other name.
    pub whole: bool,
    /// What needs it, in words, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<String>,
}

impl fmt::Display for Removal {
    /// The first name, or the id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(first_name(&self.names).unwrap_or(&self.id))
    }
}

/// The first name with a tag, or else the first name.
fn first_name(names: &[String]) -> Option<&str> {
    let tagged = names.iter().find(|name| !name.contains('@'));
    tagged.or(names.first()).map(String::as_str)
}

/// An image that a podman subcommand uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum CommandImage {
    /// From a registry.
    Registry {
        /// The requested name.
        name: Reference,
        /// The name with the digest to which it resolved.
        pinned: Reference,
        /// The digest of the manifest that podman selects: in an index, the one for this host or for the requested platform.
        instance: Digest,
        /// The requested platform, if any: `OS/ARCHITECTURE/VARIANT`, without the parts that were not requested.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
    },
    /// From bootc's storage.
    Store {
        /// Its name; `None` if it was requested by its id.
        name: Option<Reference>,
        /// All its names, if it was requested by its id.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        /// The image itself; podman is given its id.
        #[serde(flatten)]
        image: LocalImage,
    },
}

/// The source of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum CopySource {
    /// The ostree repository.
    Host(HostImage),
    /// bootc's storage.
    Unified(UnifiedImage),
}

impl CopySource {
    /// Its name there, with the transport.
    pub fn name(&self) -> String {
        match self {
            Self::Host(image) => image.name.clone(),
            Self::Unified(image) => format!("{CONTAINERS_STORAGE}{}", image.name),
        }
    }
}

/// An image in bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnifiedImage {
    /// Its name there.
    pub name: Reference,
    /// The image itself; podman is given its id.
    #[serde(flatten)]
    pub image: LocalImage,
}

/// The source from which the booted image is added to bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum UnifiedSource {
    /// podman's storage.
    DefaultStore(LocalImage),
    /// A registry, by digest.
    Registry {
        /// With a digest.
        reference: Reference,
    },
    /// The ostree repository, from which it is exported because no other source has it.
    Host,
}

/// An image in bootc's storage, which may be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredImage {
    /// Its id.
    pub id: String,
    /// Its manifest, if the storage has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// Its names.
    pub names: Vec<String>,
}

impl fmt::Display for StoredImage {
    /// The first name, or the id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(first_name(&self.names).unwrap_or(&self.id))
    }
}

/// The source of a repair: it must have the same image, by its id or its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum RepairSource {
    /// podman's storage.
    DefaultStore(LocalImage),
    /// The ostree repository, from which it is exported.
    Host(HostImage),
    /// Registries, by digest, which are tried in this order.
    Registry {
        /// With digests.
        references: Vec<Reference>,
    },
}

/// An image in the ostree repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostImage {
    /// Its name with the transport: from its ref, or from the deployment's origin.
    pub name: String,
    /// The commit of the deployment or of the ref.
    pub commit: Commit,
    /// The manifest from which the commit was made.
    pub manifest_digest: Digest,
}

/// An image in a containers-storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalImage {
    /// Its id: the digest of its configuration, without `sha256:`.
    pub id: String,
    /// Its manifest.
    pub manifest_digest: Digest,
}
