//! Lists of images.

use std::borrow::Cow;
use std::sync::Arc;

use bootc_image_containers_storage::Inventory;
use bootc_image_model::columns::{Column, Details, ImageType};
use serde::Serialize;

use crate::error::Error;

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
