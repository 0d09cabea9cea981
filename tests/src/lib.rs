//! The test bench of bootc-image: real programs on real storage, in a system that only looks booted.
//!
//! A [`World`] is a directory with the disk of a small bootc host and a registry. One base world is built per
//! version of this crate and each test works on its own copy. [`World::enter`] describes how a test enters it;
//! the description becomes a [`Sandbox`](sandbox::Sandbox), which the program `world-enter` turns into namespaces
//! and mounts. Nothing outside the world's directory changes, and nothing outlives a test.
//!
//! - [`sandbox`]: namespaces, mounts, time limits; knows nothing of bootc
//! - [`world`]: what the host in there looks like, and how it is made
//! - [`oracle`]: what podman, skopeo and ostree say about it
//! - [`faults`]: system calls that fail, locks that are held, writers that interfere
//! - [`hosts`]: generated hosts, in which nothing that is needed may be removed
//! - [`operations`]: generated policies and operations, of which policies must be shown what becomes of them
//! - [`damage`]: stored images that are damaged and healed, part by part
//! - [`machine`]: what the machine outside looks like, to show that it stays as it was
//! - [`full_disk`]: disks that are full, and what is taken away there
//! - [`guide`]: pages of the documentation that are run
//! - [`stock`]: images that are put into bootc's store
//! - [`turns`]: what bootc and we do to one store, one after the other
//! - [`drift`]: what podman's argument parser knows
//! - [`messages`]: what the program tells people, as snapshots
//! - [`mutants`]: sources in which tests can switch a check off
//! - [`programs`]: where the programs under test are

pub mod damage;
pub mod drift;
pub mod faults;
pub mod full_disk;
pub mod guide;
pub mod hostile;
pub mod hosts;
pub mod house;
pub mod machine;
pub mod messages;
pub mod mutants;
pub mod operations;
pub mod pages;
pub mod programs;
pub mod sandbox;
pub mod stock;
pub mod toolchains;
pub mod turns;
pub mod world;

pub use sandbox::Output;
pub use world::{World, oracle};
