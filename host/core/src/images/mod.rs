//! What operations on images of this host share.
//!
//! - [`names`]: what a name means; [`local`]: copying from one storage to another
//! - [`storages`]: a storage and what it holds; [`heal`]: fetching an image, and replacing what is damaged
//! - [`needs`], [`in_use`], [`systems`]: what must never be removed
//! - [`removing`]: how an image goes; [`full_disk`]: also where there is no room for that

pub(crate) mod full_disk;
pub(crate) mod heal;
pub(crate) mod in_use;
pub(crate) mod local;
pub(crate) mod names;
pub(crate) mod needs;
pub(crate) mod removing;
pub(crate) mod storages;
mod systems;
