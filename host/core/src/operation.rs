//! What can be asked for, and what it becomes once everything in it is resolved.

use serde::Serialize;

use crate::digest::{Commit, Digest};
use crate::plugin::PluginId;
use crate::reference::Reference;

/// Which images a listing is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListType {
    /// Everything that can be read here.
    All,
    /// Images in the ostree repository and in bootc's containers-storage, as bootc means it.
    Host,
    /// Images in bootc's containers-storage.
    Unified,
    /// References in `/usr/lib/bootc/bound-images.d`.
    Logical,
}

/// What a caller asks for, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// List images.
    List {
        /// Which ones; none: all, and what can't be read without root is a warning.
        image_type: Option<ListType>,
    },
    /// Copy the booted image to podman's storage.
    CopyToStorage {
        /// Its new name; none: [`DEFAULT_TARGET`].
        target: Option<String>,
    },
    /// Copy an image of podman's storage to bootc's.
    PullFromDefaultStorage {
        /// Its name.
        image: String,
    },
    /// Run a plugin's command.
    Cmd {
        /// The subcommand.
        name: String,
        /// What follows it.
        args: Vec<String>,
    },
}

impl Request {
    /// Whether it changes something or starts podman on a store: such a request needs root and is recorded (D3.4).
    pub fn acts(&self) -> bool {
        !matches!(self, Self::List { .. })
    }
}

/// The name that a copied image gets if none is given, as in bootc.
pub const DEFAULT_TARGET: &str = "localhost/bootc";

/// What is judged and what runs: typed, with every name resolved to what it means now (D3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Operation {
    /// List images.
    List {
        /// Which ones.
        image_type: ListType,
    },
    /// Copy the image of a deployment to podman's storage.
    CopyToStorage {
        /// What is copied.
        source: HostImage,
        /// Its name there.
        target: Reference,
    },
    /// Copy an image of podman's storage to bootc's.
    PullFromDefaultStorage {
        /// What is copied: it runs by its id.
        source: LocalImage,
        /// Its name, in both.
        name: Reference,
    },
    /// Run podman on bootc's storage.
    Cmd {
        /// The subcommand that the caller typed.
        invoked: String,
        /// The plugin whose plan it is.
        plugin: PluginId,
        /// What podman gets is printed from this.
        command: bootc_image_grammar::Command,
        /// Whether everything that it fetches is named by digest.
        pinned: bool,
    },
}

/// An image in the ostree repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostImage {
    /// The name that the deployment's origin gives it.
    pub name: String,
    /// The commit of the deployment.
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

impl Operation {
    /// Its name in records and messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::List { .. } => "list",
            Self::CopyToStorage { .. } => "copy-to-storage",
            Self::PullFromDefaultStorage { .. } => "pull-from-default-storage",
            Self::Cmd { .. } => "cmd",
        }
    }
}
