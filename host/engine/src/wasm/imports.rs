//! Checks every function that a component imports against the functions that the host provides to it. The check reads the component
//! itself and not its manifest.
//!
//! Toolchains make components import more of WASI than a plugin uses. What this host does not provide of WASI is linked with stubs,
//! which give no access: a plugin that calls one is ended (docs/adr/0024-other-toolchains.md).

use bootc_image_engine_config::structure::{self, WASI};
use bootc_image_manifest::World;
use bootc_image_model::capability::{COPIES_IMAGES, Capability, LISTS_IMAGES, PULLS_IMAGES};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ResourceType};

use super::{versions, wasi};
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

/// Every function that a component may import besides those of WASI. Other functions of other packages than WASI's are not linked.
const TABLE: &[(&str, &str, Needs)] = &[
    ("bootc-image:host/config", "get", Needs::Nothing),
    ("bootc-image:host/config", "settings", Needs::Nothing),
    (DIGEST_LISTS, "contains", Needs::World(World::PolicyValidator)),
    (DIGEST_LISTS, "settings", Needs::World(World::PolicyValidator)),
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

const DIGEST_LISTS: &str = "bootc-image:host/digest-lists";
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
    /// The component is for another version of WASI.
    #[error(
        "it was built for another version of WASI (it imports `{0}`), but this host provides WASI 0.2: its author has to build it for WASI 0.2"
    )]
    OtherWasi(String),
    /// The component imports too much of WASI.
    #[error(transparent)]
    TooMany(#[from] structure::Exceeded),
}

impl From<Ungranted> for Unusable {
    fn from(error: Ungranted) -> Self {
        match error {
            Ungranted::NotAskedFor(..) => Self::NotAskedFor(error.to_string()),
            Ungranted::NotOffered(..) | Ungranted::OtherWasi(_) | Ungranted::TooMany(_) => {
                Self::Other(error.to_string())
            }
        }
    }
}

impl Ungranted {
    fn not_offered(interface: &str, item: &str) -> Self {
        let dot = if item.is_empty() { "" } else { "." };
        Self::NotOffered(format!("{interface}{dot}{item}"), versions::newer(interface).unwrap_or_default())
    }
}

/// What a component imports of WASI.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Whether it imports any interface of WASI.
    pub(super) wasi: bool,
    /// Its functions and resources.
    pub(super) items: Vec<Item>,
}

impl Wanted {
    /// Adds a function or resource, and fails when there are too many: more of them take more time.
    fn add(&mut self, item: Item) -> Result<(), structure::Exceeded> {
        self.items.push(item);
        WASI.check(self.items.len())
    }
}

/// A function or a resource of WASI that a component imports: its interface, its name, and whether it is a resource.
pub(super) type Item = (String, String, bool);

/// The resources that a component imports, each once.
#[derive(Debug, Default)]
struct Resources(Vec<ResourceType>);

impl Resources {
    /// Whether the resource is new. Fails when there are too many, before the search takes long. Other packages than WASI's have only
    /// a few.
    fn is_new(&mut self, resource: ResourceType) -> Result<bool, structure::Exceeded> {
        if self.0.contains(&resource) {
            return Ok(false);
        }
        self.0.push(resource);
        WASI.check(self.0.len())?;
        Ok(true)
    }
}

/// Refuses a component that imports a function outside the table, or one for which it lacks a capability. Returns what it imports of
/// WASI.
pub(super) fn check(
    engine: &Engine,
    component: &Component,
    world: World,
    granted: &[Capability],
) -> Result<Wanted, Ungranted> {
    let mut wanted = Wanted::default();
    let mut resources = Resources::default();
    for (interface, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(Ungranted::not_offered(interface, ""));
        };
        let is_wasi = wasi::is_wasi(interface);
        if is_wasi && !wasi::is_our_version(interface) {
            return Err(Ungranted::OtherWasi(interface.to_owned()));
        }
        wanted.wasi |= is_wasi;
        let of_wasi = |name: &str, is_resource| (interface.to_owned(), name.to_owned(), is_resource);
        for (item, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::Type(_) => {}
                // An interface also lists the resources of other interfaces that it uses.
                ComponentItem::Resource(resource) => {
                    if resources.is_new(resource)? && is_wasi {
                        wanted.add(of_wasi(item, true))?;
                    }
                }
                ComponentItem::ComponentFunc(_) if is_wasi => wanted.add(of_wasi(item, false))?,
                ComponentItem::ComponentFunc(_) => is_granted(interface, item, world, granted)?,
                _ => return Err(Ungranted::not_offered(interface, item)),
            }
        }
    }
    Ok(wanted)
}

/// The condition for `function` of `interface`; none if it is not in the table. The version is checked by linking.
fn needs(interface: &str, function: &str) -> Option<Needs> {
    let interface = unversioned(interface);
    TABLE.iter().find(|entry| (entry.0, entry.1) == (interface, function)).map(|entry| entry.2)
}

/// The name of an interface without its version.
pub(super) fn unversioned(interface: &str) -> &str {
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
    fn only_policies_can_import_operations_and_lists_of_digests() {
        for (interface, function) in
            [(OPERATIONS, "[method]operation.kind"), (DIGEST_LISTS, "contains"), (DIGEST_LISTS, "settings")]
        {
            let granted = |world| is_granted(interface, function, world, &[]).is_ok();
            assert!(granted(World::PolicyValidator), "{interface}.{function}");
            assert!(!granted(World::CommandWrapper), "{interface}.{function}");
            assert!(!granted(World::FormatOutput), "{interface}.{function}");
        }
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
    fn other_packages_than_wasi_get_no_stubs() {
        for interface in ["site:doors/back@0.1.0", "wasix:sockets/tcp@0.2.0", "bootc-image:host/doors@0.1.0"]
        {
            let refused = is_granted(interface, "open", World::PolicyValidator, &[]).unwrap_err().to_string();
            assert!(refused.contains("which this host does not provide"), "{refused}");
            assert!(!wasi::is_wasi(interface));
        }
    }

    #[test]
    fn an_import_of_wasi_too_many_is_refused_before_the_next_one_is_read() {
        let most = u32::try_from(WASI.most).unwrap();
        let mut resources = Resources::default();
        for number in 0..most {
            assert_eq!(resources.is_new(ResourceType::host_dynamic(number)), Ok(true));
            assert_eq!(resources.is_new(ResourceType::host_dynamic(0)), Ok(false));
        }
        resources.is_new(ResourceType::host_dynamic(most)).unwrap_err();
        let mut wanted = Wanted::default();
        let item = || ("wasi:x/y@0.2.0".to_owned(), "f".to_owned(), false);
        for _ in 0..most {
            wanted.add(item()).unwrap();
        }
        let refused = wanted.add(item()).unwrap_err().to_string();
        assert_eq!(refused, "it has 1001 imports of WASI, but at most 1000 are allowed");
    }

    #[test]
    fn unknown_functions_are_not_in_the_table() {
        assert_eq!(needs("bootc-image:host/log@0.1.7", "emit"), Some(Needs::Nothing));
        assert_eq!(needs("bootc-image:host/log@0.1.0", "erase"), None);
        assert_eq!(needs("wasi:cli/environment@0.2.0", "get-environment"), None);
    }
}
