//! Checks that a component exports the interface of its world, so that a component for another world is named as such.

use bootc_image_manifest::World;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::imports::unversioned;
use crate::unusable::Unusable;

/// Refuses a component without the interface of its world. Linking checks the functions of the interface.
pub(super) fn check(engine: &Engine, component: &Component, world: World) -> Result<(), Unusable> {
    let interface = match world {
        World::CommandWrapper => "bootc-image:command/commands",
        World::FormatOutput => "bootc-image:format/formatter",
        World::PolicyValidator => "bootc-image:policy/validate",
    };
    if component.component_type().exports(engine).any(|(name, _)| unversioned(name) == interface) {
        return Ok(());
    }
    Err(Unusable::Other(format!(
        "it does not export `{interface}`, which the world {} in its manifest requires: its author has to build it for this \
         world, or to correct the manifest",
        world.name()
    )))
}
