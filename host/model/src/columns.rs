//! The columns of a list of images.

use serde::Serialize;

/// Where an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// In the ostree repository.
    Host,
    /// In bootc's containers-storage.
    Unified,
    /// A bound image.
    Logical,
}

impl ImageType {
    /// The value in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Unified => "unified",
            Self::Logical => "logical",
        }
    }
}

/// A column of a list.
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
    /// Its uncompressed size in bytes, as podman counts it.
    Size,
    /// When it was created: RFC 3339, in UTC.
    Created,
    /// Its labels: a JSON object of strings.
    Labels,
}

impl Column {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::ImageType, Self::Image, Self::Digest, Self::Id, Self::Size, Self::Created, Self::Labels];

    /// Whether it needs more than the images' names, which is slower.
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

/// The other columns of an image, as strings; empty if unknown or not requested.
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

/// Which images are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListType {
    /// All that this host has.
    All,
    /// Images in the ostree repository and in bootc's storage, as in `bootc image list`.
    Host,
    /// Images in bootc's storage.
    Unified,
    /// References in `/usr/lib/bootc/bound-images.d`.
    Logical,
}
