//! Running podman on bootc's storage, as a plugin planned it.
//!
//! ```text
//! plan --parse, qualify names--> Command --host's validators--> resolve names --> Resolved --judge--> podman
//! ```
//!
//! Images are pulled from registries by the digest that was judged, and named afterwards. Stored images are passed to podman by
//! id. A name could be changed to another image in between (docs/adr/0005-what-podman-is-given.md).

mod built;
mod fetched;
mod loaded;
mod paths;
pub(crate) mod planned;
pub(crate) mod resolver;
pub(crate) mod run;
pub(crate) mod spellings;
mod working;
