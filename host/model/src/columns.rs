//! What a list tells of an image.

use serde::Serialize;

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
