//! Running podman on bootc's storage, as a plugin planned it.
//!
//! ```text
//! plan --parse, spell out--> Command --host's validators--> look names up --> Resolved --judged--> podman
//! ```
//!
//! Images of registries are pulled by the digest that was judged and named afterwards; images of the storage are meant by
//! their ids.

mod built;
mod fetched;
mod loaded;
mod paths;
pub(crate) mod planned;
pub(crate) mod resolver;
pub(crate) mod run;
pub(crate) mod spellings;
mod working;
