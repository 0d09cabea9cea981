//! Where images are kept, read natively: no child, no libostree (D9.2).

pub mod aliases;
pub mod bound;
pub mod containers;
mod gvariant;
mod keyfile;
pub mod lock;
pub mod ostree;
pub mod podman;
pub mod root;
pub mod sysroot;
pub mod system;
pub mod units;
