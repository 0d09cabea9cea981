//! Common parts of operations on images of this host.
//!
//! - [`names`]: resolving names; [`local`]: copying from one storage to another
//! - [`storages`]: a storage and its images; [`repair`]: fetching images, and replacing damaged layers
//! - [`needs`], [`in_use`], [`systems`]: images that must not be removed
//! - [`removing`]: removing images; [`full_disk`]: removing them on a full disk

pub mod full_disk;
pub mod in_use;
pub mod local;
pub mod names;
pub mod needs;
pub mod removing;
pub mod repair;
pub mod storages;
mod systems;
