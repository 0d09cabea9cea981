//! What operations answer. Renderers turn it into text; nothing here prints.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;
use crate::operation::{Grant, LocalImage, Removal, StoredImage};
use crate::plugin::PluginId;
use crate::policy::Judged;
use crate::reference::Reference;
use crate::storage::containers::Inventory;

/// Where an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// In the ostree repository.
    Host,
    /// In bootc's containers-storage.
    Unified,
    /// Named by a bound image.
    Logical,
}

impl ImageType {
    /// As listed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Unified => "unified",
            Self::Logical => "logical",
        }
    }
}

/// What is told of an image, a column of a list each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Where it is kept.
    ImageType,
    /// Its name.
    Image,
    /// Digest of its manifest.
    Digest,
    /// Digest of its configuration, without `sha256:`.
    Id,
    /// Its size in bytes, unpacked, as podman counts it.
    Size,
    /// When it was made: RFC 3339, in UTC.
    Created,
    /// Its labels: a JSON object of texts.
    Labels,
}

impl Column {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::ImageType, Self::Image, Self::Digest, Self::Id, Self::Size, Self::Created, Self::Labels];

    /// Whether it takes more to find out than the names of images.
    pub fn is_detail(self) -> bool {
        !matches!(self, Self::ImageType | Self::Image)
    }

    /// Its name in manifests and for plugins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImageType => "image_type",
            Self::Image => "image",
            Self::Digest => "digest",
            Self::Id => "id",
            Self::Size => "size",
            Self::Created => "created",
            Self::Labels => "labels",
        }
    }
}

/// An image under one of its names. Serialised it is bootc's own JSON shape (D10.4).
#[derive(Debug, Clone, Serialize)]
pub struct ImageRow {
    /// Where it is kept.
    pub image_type: ImageType,
    /// Its name; with transport for host images.
    pub image: String,
    /// Where what else is known of it comes from.
    #[serde(skip)]
    pub more: More,
}

/// Where what else is known of an image comes from, if that was asked for. A list may be long and is held as a whole, so this
/// takes little room.
#[derive(Debug, Clone, Default)]
pub enum More {
    /// Nobody asked, or nothing is known.
    #[default]
    Nothing,
    /// From here.
    Known(Box<Details>),
    /// From the index of a storage, where it has this number.
    Indexed(Arc<Inventory>, u32),
}

/// What else is known of an image, as texts; empty is what isn't known, or wasn't asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// [`Column::Digest`].
    pub digest: String,
    /// [`Column::Id`].
    pub id: String,
    /// [`Column::Size`].
    pub size: String,
    /// [`Column::Created`].
    pub created: String,
    /// [`Column::Labels`].
    pub labels: String,
}

impl ImageRow {
    /// A row of which no more is known than this.
    pub fn new(image_type: ImageType, image: String) -> Self {
        Self { image_type, image, more: More::Nothing }
    }

    /// Hands over what stands in these columns of the row, one after the other.
    pub fn cells(&self, columns: &[Column], mut take: impl FnMut(&str)) {
        let details = match &self.more {
            More::Nothing => Cow::Owned(Details::default()),
            More::Known(details) => Cow::Borrowed(&**details),
            More::Indexed(inventory, number) => Cow::Owned(inventory.details(*number, columns)),
        };
        for column in columns {
            take(match column {
                Column::ImageType => self.image_type.as_str(),
                Column::Image => &self.image,
                Column::Digest => &details.digest,
                Column::Id => &details.id,
                Column::Size => &details.size,
                Column::Created => &details.created,
                Column::Labels => &details.labels,
            });
        }
    }
}

/// A listing: what could be read, and what couldn't.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by type and name, none twice.
    pub rows: Vec<ImageRow>,
    /// What is missing from `rows`, and why.
    pub problems: Vec<Error>,
}

/// What an operation answers.
#[derive(Debug)]
pub enum Report {
    /// Images.
    Listing(Listing),
    /// An image was copied to podman's storage.
    Copied {
        /// Under this name.
        target: Reference,
        /// What is there now.
        image: LocalImage,
        /// Whether it was there before.
        unchanged: bool,
    },
    /// An image was copied to bootc's storage.
    Pulled {
        /// Under this name.
        name: Reference,
        /// What is there now.
        image: LocalImage,
        /// Whether it was there before.
        unchanged: bool,
    },
    /// An image, or names of one, are gone from bootc's storage.
    Removed(Removal),
    /// The layers and documents of an image of bootc's storage were replaced.
    Repaired {
        /// Which one.
        image: StoredImage,
        /// How many layers.
        layers: usize,
    },
    /// What became of several operations, in their order.
    Several(Vec<Result<Report, Error>>),
    /// podman ran, and its output is already where it belongs.
    Exited {
        /// Its own code; 128 + N if signal N ended it.
        code: u8,
    },
    /// A plugin planned nothing: there was nothing left to do.
    NothingToDo,
    /// A plugin may run now.
    Approved {
        /// What exactly.
        grant: Grant,
        /// Where that is written down.
        file: PathBuf,
    },
    /// A plugin may no longer run.
    Revoked {
        /// Which one.
        plugin: PluginId,
        /// Where it was written down.
        file: PathBuf,
    },
    /// With `--dry-run`: what would have run.
    Judged(Vec<Judged>),
}
