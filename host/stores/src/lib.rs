//! Where images are kept on a host, read natively: no process, no libostree (D9.2). And how they get from one place to another.
//!
//! - [`ostree`], [`sysroot`], [`system`]: deployments, and the images that they were made from
//! - [`units`], [`bound`], [`aliases`]: which images a system names
//! - [`podman`]: where podman keeps images; [`default_store`], [`bootc_store`]: podman's own storage and bootc's
//! - [`host`], [`images`]: what operations on a host's images share
//! - [`transfer`], [`export`], [`registry`]: moving images; [`copies`]: what has been copied

pub mod aliases;
pub mod bootc_store;
pub mod bound;
pub mod copies;
pub mod default_store;
pub mod error;
pub mod export;
mod gvariant;
pub mod host;
pub mod images;
mod keyfile;
pub mod ostree;
pub mod podman;
pub mod registry;
pub mod sysroot;
pub mod system;
pub mod transfer;
pub mod units;
