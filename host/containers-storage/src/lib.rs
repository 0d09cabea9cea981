//! Images in a containers-storage: read from its own index under its own lock, checked, and mended, without its own tools.
//!
//! - `store`, `records`: what the indexes say; `inventory`: the same for lists
//! - `damage`: what is wrong with an image, found by way of `layout`, `tar_split`, `contents`, `inherited`
//! - `replace`: a damaged part is replaced by a good one, by way of `documents`, `links`, `writer`; `temporary`: where the good one
//!   is fetched to

mod contents;
mod damage;
mod documents;
pub mod error;
mod inherited;
mod inventory;
mod label;
mod layout;
mod links;
mod paths;
mod records;
mod replace;
#[cfg(test)]
mod samples;
mod store;
mod tar_split;
mod temporary;
#[cfg(test)]
mod tests;
mod writer;

pub use damage::{Checker, Damage};
pub use documents::missing as missing_documents;
pub use inventory::Inventory;
pub use records::Image;
pub use replace::{Waiting, Which, replace};
pub use store::{Images, OwnLayer, Store, drivers};
pub use temporary::{TemporaryStore, remove_abandoned};
