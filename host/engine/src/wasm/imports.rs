//! Checks every function that a component imports against the functions that the host provides to it. The check reads the component
//! itself and not its manifest.

use bootc_image_model::capability::{COPIES_IMAGES, Capability, LISTS_IMAGES, PULLS_IMAGES};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::{versions, wasi};
use crate::manifest::World;
use crate::unusable::Unusable;

/// The condition under which a plugin may import a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// None: the function concerns only the plugin itself.
    Nothing,
    /// The plugin implements this world.
    World(World),
    /// The plugin was granted this capability.
    Capability(&'static str),
    /// The plugin implements this world or was granted this capability.
    Either(World, &'static str),
}

/// Every function that a component may import besides those of WASI. Other functions are not linked.
const TABLE: &[(&str, &str, Needs)] = &[
    ("bootc-image:host/config", "get", Needs::Nothing),
    ("bootc-image:host/config", "settings", Needs::Nothing),
    ("bootc-image:host/log", "emit", Needs::Nothing),
    ("bootc-image:host/log", "enabled", Needs::Nothing),
    (IMAGES, "list", Needs::Capability(LISTS_IMAGES)),
    (ROWS, "[method]cursor.columns", Needs::Either(World::FormatOutput, LISTS_IMAGES)),
    (ROWS, "[method]cursor.next", Needs::Either(World::FormatOutput, LISTS_IMAGES)),
    (TRANSFERS, "copy-to-storage", Needs::Capability(COPIES_IMAGES)),
    (TRANSFERS, "pull-from-default-storage", Needs::Capability(PULLS_IMAGES)),
    (OPERATIONS, "[method]operation.argv", Needs::World(World::PolicyValidator)),
    (OPERATIONS, "[method]operation.attr", Needs::World(World::PolicyValidator)),
    (OPERATIONS, "[method]operation.attrs", Needs::World(World::PolicyValidator)),
    (OPERATIONS, "[method]operation.digest", Needs::World(World::PolicyValidator)),
    (OPERATIONS, "[method]operation.images", Needs::World(World::PolicyValidator)),
    (OPERATIONS, "[method]operation.kind", Needs::World(World::PolicyValidator)),
];

const IMAGES: &str = "bootc-image:host/images";
const ROWS: &str = "bootc-image:host/rows";
const TRANSFERS: &str = "bootc-image:host/transfers";
const OPERATIONS: &str = "bootc-image:policy/operations";

/// A component imports a function that it may not import.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ungranted {
    /// No plugin of its kind may import the function.
    #[error("it imports `{0}`, which this host does not provide{1}")]
    NotOffered(String, String),
    /// The function needs a capability that the manifest does not request.
    #[error("it needs the capability {1}, but its manifest does not request it (it imports `{0}`)")]
    NotAskedFor(String, &'static str),
}

impl From<Ungranted> for Unusable {
    fn from(error: Ungranted) -> Self {
        match error {
            Ungranted::NotOffered(..) => Self::Other(error.to_string()),
            Ungranted::NotAskedFor(..) => Self::NotAskedFor(error.to_string()),
        }
    }
}

impl Ungranted {
    fn not_offered(interface: &str, item: &str) -> Self {
        let dot = if item.is_empty() { "" } else { "." };
        Self::NotOffered(format!("{interface}{dot}{item}"), versions::newer(interface).unwrap_or_default())
    }
}

/// Refuses a component that imports a function outside the table, or one for which it lacks a capability. Returns whether it imports
/// WASI.
pub(super) fn check(
    engine: &Engine,
    component: &Component,
    world: World,
    granted: &[Capability],
) -> Result<bool, Ungranted> {
    let mut wants_wasi = false;
    for (interface, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(Ungranted::not_offered(interface, ""));
        };
        wants_wasi |= wasi::is_wasi(interface);
        for (item, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::Type(_) | ComponentItem::Resource(_) => {}
                ComponentItem::ComponentFunc(_) => is_granted(interface, item, world, granted)?,
                _ => return Err(Ungranted::not_offered(interface, item)),
            }
        }
    }
    Ok(wants_wasi)
}

/// The condition for `function` of `interface`; none if it is not in the table. The version is checked by linking.
fn needs(interface: &str, function: &str) -> Option<Needs> {
    let interface = unversioned(interface);
    TABLE.iter().find(|entry| (entry.0, entry.1) == (interface, function)).map(|entry| entry.2)
}

fn unversioned(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

fn is_granted(
    interface: &str,
    function: &str,
    world: World,
    granted: &[Capability],
) -> Result<(), Ungranted> {
    let has = |needed: &str| granted.iter().any(|capability| capability.name == needed);
    match needs(interface, function) {
        Some(Needs::Nothing) => Ok(()),
        Some(Needs::World(needed) | Needs::Either(needed, _)) if needed == world => Ok(()),
        Some(Needs::Capability(needed) | Needs::Either(_, needed)) if has(needed) => Ok(()),
        Some(Needs::Capability(needed) | Needs::Either(_, needed)) if world == World::CommandWrapper => {
            Err(Ungranted::NotAskedFor(format!("{interface}.{function}"), needed))
        }
        None if wasi::is_inert(unversioned(interface), function) => Ok(()),
        _ => Err(Ungranted::not_offered(interface, function)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wit_parser::{Resolve, WorldItem};

    use super::*;

    /// The functions that the worlds import, as (interface, function).
    fn importable() -> BTreeSet<(String, String)> {
        let mut resolve = Resolve::default();
        for package in ["types", "host", "policy", "format", "command"] {
            resolve.push_dir(format!("{}/../../wit/{package}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        }
        let mut functions = BTreeSet::new();
        for import in resolve.worlds.iter().flat_map(|(_, world)| world.imports.values()) {
            let WorldItem::Interface { id, .. } = import else {
                panic!("worlds import interfaces only: {import:?}")
            };
            let name = resolve.id_of(*id).unwrap();
            let interface = name.split('@').next().unwrap();
            for function in resolve.interfaces[*id].functions.keys() {
                functions.insert((interface.to_owned(), function.clone()));
            }
        }
        functions
    }

    #[test]
    fn every_function_of_the_wit_is_in_the_table_and_nothing_else() {
        let table: BTreeSet<_> = TABLE.iter().map(|entry| (entry.0.to_owned(), entry.1.to_owned())).collect();
        assert_eq!(table, importable());
        assert_eq!(table.len(), TABLE.len(), "an entry stands twice");
    }

    #[test]
    fn only_policies_can_import_operations() {
        let kind = "[method]operation.kind";
        let granted = |world| is_granted("bootc-image:policy/operations@0.1.0", kind, world, &[]).is_ok();
        assert!(granted(World::PolicyValidator));
        assert!(!granted(World::CommandWrapper));
    }

    #[test]
    fn a_missing_capability_is_named() {
        let lists = [Capability { name: LISTS_IMAGES.to_owned(), scope: "**".to_owned() }];
        let granted = |interface, function, world, capabilities: &[Capability]| {
            is_granted(interface, function, world, capabilities).map_err(|error| error.to_string())
        };
        assert_eq!(granted(IMAGES, "list", World::CommandWrapper, &lists), Ok(()));
        let refused = granted(IMAGES, "list", World::CommandWrapper, &[]).unwrap_err();
        assert!(refused.contains("needs the capability lists-images"), "{refused}");
        assert!(granted(TRANSFERS, "copy-to-storage", World::CommandWrapper, &lists).is_err());
        assert!(granted(ROWS, "[method]cursor.next", World::CommandWrapper, &lists).is_ok());
        assert!(granted(ROWS, "[method]cursor.next", World::FormatOutput, &[]).is_ok());
        for (interface, function) in [(ROWS, "[method]cursor.next"), (IMAGES, "list")] {
            let refused = granted(interface, function, World::PolicyValidator, &[]).unwrap_err();
            assert!(refused.ends_with("which this host does not provide"), "{refused}");
        }
    }

    #[test]
    fn of_wasi_only_inert_functions_that_never_wait_can_be_imported() {
        let granted =
            |interface, function| is_granted(interface, function, World::PolicyValidator, &[]).is_ok();
        assert!(granted("wasi:cli/environment@0.2.6", "get-environment"));
        assert!(granted("wasi:clocks/monotonic-clock@0.2.6", "now"));
        assert!(!granted("wasi:clocks/monotonic-clock@0.2.6", "subscribe-duration"));
        assert!(!granted("wasi:sockets/tcp@0.2.6", "[method]tcp-socket.start-connect"));
        assert!(!granted("wasi:http/outgoing-handler@0.2.6", "handle"));
    }

    #[test]
    fn unknown_functions_are_not_in_the_table() {
        assert_eq!(needs("bootc-image:host/log@0.1.7", "emit"), Some(Needs::Nothing));
        assert_eq!(needs("bootc-image:host/log@0.1.0", "erase"), None);
        assert_eq!(needs("wasi:cli/environment@0.2.0", "get-environment"), None);
    }
}
