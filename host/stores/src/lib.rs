//! The storages and the ostree repository of a host, which are read directly, without starting processes and without libostree, because
//! that is fast. And copying images between them.
//!
//! - [`ostree`], [`sysroot`], [`system`]: deployments, and their images
//! - [`units`], [`bound`], [`aliases`]: the images that an operating system refers to
//! - [`podman`]: podman's storage configuration; [`default_store`], [`bootc_store`]: podman's and bootc's storage
//! - [`host`], [`images`]: common parts of operations on a host's images
//! - [`signature_policy`]: which images podman and skopeo accept; [`signatures`]: what names of copies and tags demand
//! - [`transfer`], [`export`], [`registry`]: copying images; [`mirrors`]: registries' mirrors that serve only tags
//! - [`copies`]: a cache of exported images; [`builds`]: the working containers of our own builds

pub mod aliases;
pub mod bootc_store;
pub mod bound;
pub mod builds;
pub mod copies;
pub mod default_store;
pub mod error;
pub mod export;
mod gvariant;
pub mod host;
pub mod images;
mod keyfile;
pub mod mirrors;
pub mod ostree;
pub mod podman;
pub mod registry;
pub mod signature_policy;
pub mod signatures;
pub mod sysroot;
pub mod system;
pub mod transfer;
pub mod units;
