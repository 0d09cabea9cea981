//! What can be asked for, and what it becomes once everything in it is resolved.

use std::fmt;

use serde::Serialize;

use crate::capability::Capability;
use crate::digest::{Commit, Digest};
use crate::error::Error;
use crate::plugin::PluginId;
use crate::reference::{CONTAINERS_STORAGE, Reference};
use crate::storage::containers::Image;

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
        /// Which ones.
        image_type: ListType,
        /// Whether to tell more of them than their names.
        details: bool,
    },
    /// Copy an image of this host to podman's storage.
    CopyToStorage {
        /// Which one, as typed; none: the booted one.
        source: Option<String>,
        /// Its new name; none: [`DEFAULT_TARGET`].
        target: Option<String>,
    },
    /// Copy images of podman's storage to bootc's.
    PullFromDefaultStorage {
        /// Their names, as typed.
        images: Vec<String>,
    },
    /// Get the booted image into bootc's storage.
    SetUnified,
    /// Remove images from bootc's storage.
    Remove {
        /// Their names or ids, as typed.
        images: Vec<String>,
    },
    /// Remove what nobody needs from bootc's storage.
    Prune {
        /// Also what has a name.
        all: bool,
    },
    /// Replace the layers of images of bootc's storage by ones that are fetched anew.
    Repair {
        /// Their names or ids, as typed.
        images: Vec<String>,
        /// All images instead.
        all: bool,
    },
    /// Run a plugin's command.
    Cmd {
        /// The subcommand.
        name: String,
        /// What follows it.
        args: Vec<String>,
    },
    /// Let a plugin run that was found, with what its manifest asks for.
    ApprovePlugin {
        /// Its id, as typed.
        plugin: String,
        /// Whether everything is denied where it isn't, of a policy.
        mandatory: bool,
    },
    /// Take that back.
    RevokePlugin {
        /// Its id, as typed.
        plugin: String,
    },
}

impl Request {
    /// Whether it changes something or starts podman on a store: such a request needs root and is recorded (D3.4).
    pub fn acts(&self) -> bool {
        !matches!(self, Self::List { .. })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !*value
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
        /// Whether to tell more of them than their names.
        #[serde(skip_serializing_if = "is_false")]
        details: bool,
    },
    /// Copy an image of this host to podman's storage.
    CopyToStorage {
        /// What is copied.
        source: CopySource,
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
    /// Get the booted image into bootc's storage, so that updates build on it there.
    SetUnified {
        /// The booted image.
        image: HostImage,
        /// Where it is taken from.
        from: UnifiedSource,
        /// Its name in bootc's storage.
        name: Reference,
    },
    /// Remove an image, or names of one, from bootc's storage.
    Remove {
        /// What goes.
        image: Removal,
    },
    /// Remove an image that nobody needs from bootc's storage.
    Prune {
        /// Whether images with names were asked for, too.
        all: bool,
        /// What goes.
        image: Removal,
    },
    /// Replace the layers and documents of an image of bootc's storage by ones that are fetched anew. Its names stay.
    Repair {
        /// Which one.
        image: StoredImage,
        /// Where it is fetched from.
        from: RepairSource,
    },
    /// Run podman on bootc's storage.
    Cmd {
        /// The subcommand that the caller typed.
        invoked: String,
        /// The plugin whose plan it is.
        plugin: PluginId,
        /// What podman gets is printed from this.
        command: bootc_image_grammar::Command,
        /// What the names of images in it mean.
        images: Vec<CommandImage>,
        /// Whether everything that it fetches is named by digest.
        pinned: bool,
    },
    /// Write down that a plugin may run.
    ApprovePlugin {
        /// What exactly.
        #[serde(flatten)]
        grant: Grant,
    },
    /// Remove what was written down.
    RevokePlugin {
        /// Which plugin.
        plugin: PluginId,
    },
}

/// What a plugin is there for: one that judges is missed when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It judges.
    Policy,
    /// It formats lists.
    Format,
    /// It plans commands.
    Command,
}

impl Role {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Policy, Self::Format, Self::Command];

    /// Its name, in grants and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Format => "format",
            Self::Command => "command",
        }
    }
}

/// The administrator's yes to a plugin: to this component, and to what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Which plugin.
    pub plugin: PluginId,
    /// Digest of its component in lower-case hexadecimal.
    pub sha256: String,
    /// Digest of its manifest: what it is asked about and what it claims.
    pub manifest: String,
    /// Whether it is native code, which runs with full authority.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// What it was approved as.
    pub role: Role,
    /// Whether everything is denied where it isn't, of a policy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    /// What it may ask the host for, sorted.
    pub capabilities: Vec<Capability>,
}

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

impl Removal {
    pub(crate) fn new(image: &Image, names: Vec<String>, whole: bool, needed_by: Option<String>) -> Self {
        Self { id: image.id.clone(), manifest_digest: image.digest.clone(), names, whole, needed_by }
    }

    pub(crate) fn not_found(&self) -> Error {
        Error::ImageNotFound { name: self.to_string(), list_with: "bootc-image list --type unified" }
    }
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

impl Operation {
    /// Whether it takes something away and adds nothing: that must be possible on a full disk.
    pub fn only_takes_away(&self) -> bool {
        match self {
            Self::Remove { .. } | Self::Prune { .. } | Self::RevokePlugin { .. } => true,
            Self::Cmd { command, .. } => command.name() == "untag",
            _ => false,
        }
    }

    /// Its name in records and messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::List { .. } => "list",
            Self::CopyToStorage { .. } => "copy-to-storage",
            Self::PullFromDefaultStorage { .. } => "pull-from-default-storage",
            Self::SetUnified { .. } => "set-unified",
            Self::Remove { .. } => "remove",
            Self::Prune { .. } => "prune",
            Self::Repair { .. } => "repair",
            Self::Cmd { .. } => "cmd",
            Self::ApprovePlugin { .. } => "approve-plugin",
            Self::RevokePlugin { .. } => "revoke-plugin",
        }
    }
}
