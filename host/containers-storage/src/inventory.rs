//! The columns of stored images in lists.

use std::collections::HashMap;
use std::ops::Deref;

use bootc_image_model::columns::{Column, Details};
use bootc_image_model::digest::Digest;
use bootc_image_model::oci::Description;
use bootc_image_os::root::RootDir;

use super::records::{Image, Layer};
use super::store::{Store, size_of_layers};

/// A snapshot of a store's images, whose details can be read later without its lock.
#[derive(Debug)]
pub struct Inventory {
    pub(super) root: RootDir,
    pub(super) driver: Option<&'static str>,
    pub(super) layers: HashMap<String, Layer>,
    pub(super) images: Vec<Image>,
}

impl Inventory {
    /// These columns of the image with this number. Labels are read now: if the image was removed meanwhile, they are unknown.
    pub fn details(&self, number: u32, columns: &[Column]) -> Details {
        let Some(image) = usize::try_from(number).ok().and_then(|number| self.images.get(number)) else {
            return Details::default();
        };
        let mut details = Details::default();
        for column in columns {
            match column {
                Column::ImageType | Column::Image => {}
                Column::Digest => {
                    details.digest = image.digest.as_ref().map(Digest::to_string).unwrap_or_default();
                }
                Column::Id => details.id.clone_from(&image.id),
                Column::Size => {
                    let documents =
                        image.document_sizes.values().filter_map(|size| u64::try_from(*size).ok());
                    let size = documents.fold(size_of_layers(image, &self.layers), u64::saturating_add);
                    details.size = size.to_string();
                }
                Column::Created => details.created = image.created.clone().unwrap_or_default(),
                Column::Labels => {
                    let store = Store { root: &self.root, driver: self.driver };
                    let configuration = store.configuration(image).unwrap_or_default();
                    details.labels = Description::of(&configuration).labels();
                }
            }
        }
        details
    }
}

impl Deref for Inventory {
    type Target = [Image];

    fn deref(&self) -> &[Image] {
        &self.images
    }
}
