//! Limits on the structure of a component, in one table: the compiler in the helper checks them before it compiles, and the runtime
//! provides no more. They cover what the limits of a run do not count, because it costs the component neither instructions nor memory
//! of its own, but costs the host time and memory. `docs/reference/limits.md` has the same numbers.

use std::fmt;

/// A limit on the structure of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The things that are counted.
    pub what: &'static str,
    /// The most of them.
    pub most: usize,
}

/// A component exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    limit: Limit,
    found: usize,
}

/// The size of its file.
pub const FILE: Limit = Limit::new("bytes", 128 << 20);
/// Core modules, with those of the components that it consists of.
pub const MODULES: Limit = Limit::new("core modules", 200);
/// Instances of core modules. One module can have several instances.
pub const INSTANCES: Limit = Limit::new("core instances", 200);
/// Instances of the components inside a component, on all levels. wasmtime's compiler repeats a component for each of its instances.
pub const COMPONENTS: Limit = Limit::new("component instances", 1_000);
/// Canonical functions, aliases and instances in all component instances: wasmtime's compiler repeats them in each one. A component
/// of componentize-py has some 1,700.
pub const DEFINITIONS: Limit = Limit::new("canonical functions, aliases and instances", 200_000);
/// Memories of all core instances.
pub const MEMORIES: Limit = Limit::new("memories", 32);
/// Tables of all core instances.
pub const TABLES: Limit = Limit::new("tables", 100);
/// Entries of all tables together, also of those that are added while the component runs. A table has an entry for each function that
/// is called through a pointer: some 10,000 for a small component of C#, and 8,000 for the runtime of JavaScript.
pub const TABLE_ENTRIES: Limit = Limit::new("table entries", 50_000);
/// Element segments, which initialise tables, and their entries: each takes memory. These, data segments, globals, imports and exports are counted in all
/// instances: wasmtime allocates memory for them in each one, which the limit on the memory of a run does not cover.
pub const ELEMENTS: Limit = Limit::new("element segments and their entries", 100_000);
/// Data segments, which initialise memories: ComponentizeJS makes 10,000 of the memory of an initialised interpreter.
pub const DATA: Limit = Limit::new("data segments", 100_000);
/// Globals.
pub const GLOBALS: Limit = Limit::new("globals", 10_000);
/// Imports and exports on all levels, with those that the types of imported instances list.
pub const NAMES: Limit = Limit::new("imports and exports", 50_000);
/// Functions of all modules.
pub const FUNCTIONS: Limit = Limit::new("functions", 200_000);
/// The code of the largest function.
pub const FUNCTION: Limit = Limit::new("bytes in one function", 1 << 20);
/// Functions and resources of WASI that it imports: all of WASI 0.2 has some 250. Linking them costs time in every run.
pub const WASI: Limit = Limit::new("imports of WASI", 1_000);

/// All of them, in the order of the documentation.
pub const ALL: &[Limit] = &[
    FILE,
    MODULES,
    INSTANCES,
    COMPONENTS,
    DEFINITIONS,
    MEMORIES,
    TABLES,
    TABLE_ENTRIES,
    ELEMENTS,
    DATA,
    GLOBALS,
    NAMES,
    FUNCTIONS,
    FUNCTION,
    WASI,
];

impl Limit {
    const fn new(what: &'static str, most: usize) -> Self {
        Self { what, most }
    }

    /// Fails if `found` is more than the limit.
    ///
    /// # Errors
    /// [`Exceeded`], which names the limit and what was found.
    pub fn check(self, found: usize) -> Result<(), Exceeded> {
        if found > self.most { Err(Exceeded { limit: self, found }) } else { Ok(()) }
    }

    /// The limit as wasmtime's settings have it.
    pub fn count(self) -> u32 {
        u32::try_from(self.most).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit: Limit { what, most }, found } = self;
        write!(f, "it has {found} {what}, but at most {most} are allowed")
    }
}

impl std::error::Error for Exceeded {}
