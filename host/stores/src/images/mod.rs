//! What operations on images of this host share.
//!
//! - [`names`]: what a name means; [`local`]: copying from one storage to another
//! - [`storages`]: a storage and what it holds; [`heal`]: fetching an image, and replacing what is damaged
//! - [`needs`], [`in_use`], [`systems`]: what must never be removed
//! - [`removing`]: how an image goes; [`full_disk`]: also where there is no room for that

pub mod full_disk;
pub mod heal;
pub mod in_use;
pub mod local;
pub mod names;
pub mod needs;
pub mod removing;
pub mod storages;
mod systems;
