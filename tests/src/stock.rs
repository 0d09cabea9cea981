//! Putting images into bootc's store, for tests of what happens to them there.

use crate::World;
use crate::oracle::Store;

/// Copies `localhost/mine:1` there, and gives it these names beside.
pub fn mine(world: &World, names: &[&str]) {
    let pull = ["bootc-image", "--quiet", "pull-from-default-storage", "localhost/mine:1"];
    world.enter().run(&pull).ok();
    tag(world, "localhost/mine:1", names);
}

/// Gives an image there more names, by podman as bootc calls it.
pub fn tag(world: &World, image: &str, names: &[&str]) {
    let tags: String =
        names.iter().map(|name| format!("store_podman image tag {image} '{name}'\n")).collect();
    world.enter().sh(&format!("{}{tags}", Store::Bootc.shell())).ok();
}
