//! Lists of images.

use std::borrow::Cow;
use std::sync::Arc;

use bootc_image_containers_storage::Inventory;
use bootc_image_model::columns::{Column, Details, ImageType};
use serde::Serialize;

use crate::error::Error;

/// An image under one of its names. It serialises to the JSON that `bootc image list` prints.
#[derive(Debug, Clone, Serialize)]
pub struct ImageRow {
    /// Where it is kept.
    pub image_type: ImageType,
    /// Its name, with a transport for host images.
    pub image: String,
    /// Source of further details.
    #[serde(skip)]
    pub more: More,
}

/// Source of an image's details, if they were requested. A list may be long and is kept in memory, so this is small.
#[derive(Debug, Clone, Default)]
pub enum More {
    /// Not requested, or unknown.
    #[default]
    Nothing,
    /// The details themselves.
    Known(Box<Details>),
    /// The index of a storage, and the image's position in it.
    Indexed(Arc<Inventory>, u32),
}

impl ImageRow {
    /// A row without details.
    pub fn new(image_type: ImageType, image: String) -> Self {
        Self { image_type, image, more: More::Nothing }
    }

    /// Calls `take` with the text of each of these columns, in order.
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

/// The images that could be read, and the problems with those that could not.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by type and name, without duplicates.
    pub rows: Vec<ImageRow>,
    /// Why `rows` may be incomplete.
    pub problems: Vec<Error>,
}
