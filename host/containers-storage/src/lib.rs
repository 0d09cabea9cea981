//! Images in a containers-storage: reading its index under its locks, checking images, and replacing damaged parts, without podman.
//!
//! - `store`, `records`: the indexes; `inventory`: a snapshot for lists
//! - `damage`: checking images, with `layout`, `tar_split`, `contents`, `inherited`
//! - `replace`: replacing damaged parts, with `documents`, `links`, `writer`; `temporary`: the storage to which the replacement is
//!   fetched

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
pub use store::{Images, OwnLayer, Store, drivers, equivalent, named};
pub use temporary::{TemporaryStore, remove_abandoned};
