//! Images as operations name them: resolved to what their names mean.

use std::fmt;

use serde::Serialize;

use crate::digest::{Commit, Digest};
use crate::reference::{CONTAINERS_STORAGE, Reference};

/// What is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Id of the image.
    pub id: String,
    /// Its manifest, if the storage knows it: a damaged image can be removed as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// The names that go.
    pub names: Vec<String>,
    /// Whether the image goes, too: it has no other name.
    pub whole: bool,
    /// Who needs it, if somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<String>,
}

impl fmt::Display for Removal {
    /// Its first name, or its id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(first_name(&self.names).unwrap_or(&self.id))
    }
}

/// The first name, one with a tag if there is one.
fn first_name(names: &[String]) -> Option<&str> {
    let tagged = names.iter().find(|name| !name.contains('@'));
    tagged.or(names.first()).map(String::as_str)
}

/// An image that a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum CommandImage {
    /// It is fetched from a registry.
    Registry {
        /// Its name, as asked for.
        name: Reference,
        /// What that means now: by digest.
        pinned: Reference,
        /// The manifest that podman chooses there: of an index, that of this machine or of the platform that was asked for.
        instance: Digest,
        /// The platform that was asked for, if one was: `OS/ARCHITECTURE/VARIANT`, without what wasn't said.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
    },
    /// It is in bootc's storage.
    Store {
        /// Its name, none if it was asked for by its id.
        name: Option<Reference>,
        /// If it was asked for by its id: all its names.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        /// The image itself: it runs by its id.
        #[serde(flatten)]
        image: LocalImage,
    },
}

/// Where an image that is copied out comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum CopySource {
    /// The ostree repository.
    Host(HostImage),
    /// bootc's containers-storage.
    Unified(UnifiedImage),
}

impl CopySource {
    /// As it is named there.
    pub fn name(&self) -> String {
        match self {
            Self::Host(image) => image.name.clone(),
            Self::Unified(image) => format!("{CONTAINERS_STORAGE}{}", image.name),
        }
    }
}

/// An image in bootc's containers-storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnifiedImage {
    /// Its name there.
    pub name: Reference,
    /// The image itself: it runs by its id.
    #[serde(flatten)]
    pub image: LocalImage,
}

/// Where the booted image is taken from for bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum UnifiedSource {
    /// podman's storage has it.
    DefaultStore(LocalImage),
    /// The registry, by digest.
    Registry {
        /// With a digest.
        reference: Reference,
    },
    /// Nobody else has it any more: the ostree repository, from which it is exported.
    Host,
}

/// An image in bootc's containers-storage, which may be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredImage {
    /// Its id.
    pub id: String,
    /// Its manifest, if the storage knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// Its names.
    pub names: Vec<String>,
}

impl fmt::Display for StoredImage {
    /// Its first name, or its id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(first_name(&self.names).unwrap_or(&self.id))
    }
}

/// Where an image is fetched from anew: the same image, by its id or its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum RepairSource {
    /// podman's storage has it.
    DefaultStore(LocalImage),
    /// The ostree repository, from which it is exported.
    Host(HostImage),
    /// Its registries, by digest: one after the other, until one has it.
    Registry {
        /// With digests.
        references: Vec<Reference>,
    },
}

/// An image in the ostree repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostImage {
    /// Its name, with its transport: of its ref, or of the deployment's origin.
    pub name: String,
    /// The commit of the deployment, or what the ref points at.
    pub commit: Commit,
    /// The manifest that the commit was made from.
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
