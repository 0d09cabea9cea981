//! What can be asked for, and what it becomes once everything in it is resolved.

use serde::Serialize;

use bootc_image_model::grant::Grant;
use bootc_image_model::image::{
    CommandImage, CopySource, HostImage, LocalImage, Removal, RepairSource, StoredImage, UnifiedSource,
};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::Reference;

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
