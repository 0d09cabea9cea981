//! Checks a plugin that is being packaged, with the code that checks it on a host: what is refused there is never packaged.

use std::collections::BTreeMap;
use std::path::Path;

use bootc_image_manifest::World;

use super::PluginSet;
use super::doctor::{Finding, finding};
use crate::builtin::Artefact;
use crate::places::{Place, Places, TrustedPath};
use crate::run::caught::caught;
use crate::trust::code::Code;
use crate::trust::environment::Environment;
use crate::trust::inventory;
use crate::unusable::Unusable;

/// Checks the plugin in `directory`, a directory of the user who calls this: its manifest, the digest of its component, and everything
/// that the component imports and exports. `code` is the component, compiled to machine code.
///
/// # Errors
/// The first problem.
pub fn check(directory: &Path, code: Artefact) -> Result<(), Finding> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let user = Some(rustix::process::geteuid().as_raw());
    let environment = Environment { places: Places { user, ..Places::default() }, ..Environment::default() };
    let real = std::fs::canonicalize(directory)
        .map_err(|error| finding(&name, format!("{}: {error}", directory.display()), "create it"))?;
    let trusted = TrustedPath { named: directory.to_owned(), real };
    let mut plugin = inventory::read(&environment, Place::User, &name, &trusted, &BTreeMap::new())
        .map_err(|broken| finding(&broken.id, broken.reason, "correct the manifest"))?;
    let set = PluginSet::new(environment);
    if let Some(what) = set.mismatch(&plugin) {
        return Err(finding(&name, what, "package it again"));
    }
    plugin.code = Code::Embedded(code);
    let world = plugin.manifest.component.world;
    // Settings are the business of a host: it is only checked that the component can be called.
    let checked = caught(|| set.load(&plugin, true)?.check());
    match checked.unwrap_or_else(|panic| Err(Unusable::Panicked(panic))) {
        Ok(_) => Ok(()),
        Err(why @ Unusable::NotAskedFor(_)) => {
            Err(finding(&name, why.to_string(), "request it in the manifest with [[capability]]"))
        }
        Err(why) => Err(finding(&name, why.to_string(), &of_world(world))),
    }
}

/// What a component must export and may import.
fn of_world(world: World) -> String {
    let export = match world {
        World::CommandWrapper => "export_command!",
        World::FormatOutput => "export_format!",
        World::PolicyValidator => "export_policy!",
    };
    format!(
        "`world` in the manifest is {}: call {export} of the SDK in the plugin's code, or correct `world`; a plugin can import \
         only what this world offers",
        world.name()
    )
}
