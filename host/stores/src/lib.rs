//! The storages and the ostree repository of a host, which are read directly, without starting processes and without libostree, because
//! that is fast. And copying images between them.
//!
//! - [`ostree`], [`sysroot`], [`system`]: deployments, and their images
//! - [`units`], [`bound`], [`aliases`]: the images that an operating system refers to
//! - [`podman`]: podman's storage configuration; [`default_store`], [`bootc_store`]: podman's and bootc's storage
//! - [`host`], [`images`]: common parts of operations on a host's images
//! - [`transfer`], [`export`], [`registry`]: copying images; [`copies`]: a cache of exported images

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
