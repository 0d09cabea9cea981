//! Compares the structure of a component with the limits of [`bootc_image_engine_config::structure`], before it is compiled.

use anyhow::{Context as _, ensure};
use bootc_image_engine_config::structure::{self, Limit};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentType,
    ComponentTypeDeclaration, ComponentTypeRef, ElementItems, Instance, InstanceTypeDeclaration, Parser,
    Payload,
};

/// The most modules or components that are remembered for one component, aliases included.
const REMEMBERED: usize = 1 << 20;

/// Why an instance cannot be counted. No toolchain makes such components.
const UNKNOWN: &str = "it creates an instance of a core module or of a component that is imported, or that another instance \
                       exports; only those in the file itself can be instantiated";

/// Fails if a component exceeds a limit or cannot be parsed.
pub(crate) fn check(component: &[u8]) -> anyhow::Result<()> {
    structure::FILE.check(component.len())?;
    let mut defined = Defined::default();
    let mut frames = vec![Frame::default()];
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let own = Needed::of(&payload)?;
        defined.add(&payload, own);
        follow(&mut frames, &payload, own)?;
    }
    let needed = frames.first().map(|frame| frame.needed).unwrap_or_default();
    // What has no instance costs the compiler something all the same.
    let once = defined.sections;
    let found: [(Limit, usize); 13] = [
        (structure::MODULES, defined.modules),
        (structure::INSTANCES, needed.instances),
        (structure::COMPONENTS, needed.components),
        (structure::DEFINITIONS, needed.definitions.max(once.definitions)),
        (structure::MEMORIES, needed.memories),
        (structure::TABLES, needed.tables),
        (structure::TABLE_ENTRIES, needed.entries),
        (structure::ELEMENTS, needed.elements.max(once.elements)),
        (structure::DATA, needed.data.max(once.data)),
        (structure::GLOBALS, needed.globals.max(once.globals)),
        (structure::NAMES, needed.names.max(once.names)),
        (structure::FUNCTIONS, defined.functions),
        (structure::FUNCTION, defined.largest_function),
    ];
    for (limit, found) in found {
        limit.check(found)?;
    }
    Ok(())
}

/// What is counted where it is defined, however often it is instantiated.
#[derive(Default)]
struct Defined {
    modules: usize,
    functions: usize,
    largest_function: usize,
    /// What all sections add.
    sections: Needed,
}

impl Defined {
    fn add(&mut self, payload: &Payload<'_>, own: Needed) {
        self.sections.add(own);
        match payload {
            Payload::ModuleSection { .. } => self.modules = self.modules.saturating_add(1),
            Payload::FunctionSection(functions) => {
                self.functions = self.functions.saturating_add(functions.count() as usize);
            }
            Payload::CodeSectionEntry(body) => {
                self.largest_function = self.largest_function.max(body.range().len());
            }
            _ => {}
        }
    }
}

/// What one instance takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Needed {
    /// Instances of core modules.
    instances: usize,
    /// Instances of components.
    components: usize,
    definitions: usize,
    memories: usize,
    tables: usize,
    entries: usize,
    elements: usize,
    data: usize,
    globals: usize,
    names: usize,
}

impl Needed {
    /// What a section adds to each instance of the module or component that contains it. Every entry has at least one byte in the
    /// section, so this takes no longer than reading the section.
    fn of(payload: &Payload<'_>) -> anyhow::Result<Self> {
        let mut needed = Self::default();
        match payload {
            Payload::MemorySection(section) => needed.memories = section.count() as usize,
            Payload::TableSection(section) => {
                for table in section.clone() {
                    let entries = usize::try_from(table?.ty.initial).unwrap_or(usize::MAX);
                    needed.add(Self { tables: 1, entries, ..Self::default() });
                }
            }
            Payload::ElementSection(section) => {
                for element in section.clone() {
                    let entries = match element?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    // A segment without entries takes memory, too.
                    needed.elements = needed.elements.saturating_add(1).saturating_add(entries as usize);
                }
            }
            Payload::ComponentCanonicalSection(section) => needed.definitions = section.count() as usize,
            Payload::ComponentAliasSection(section) => needed.definitions = section.count() as usize,
            Payload::InstanceSection(section) => needed.definitions = section.count() as usize,
            Payload::ComponentInstanceSection(section) => needed.definitions = section.count() as usize,
            Payload::DataSection(section) => needed.data = section.count() as usize,
            Payload::GlobalSection(section) => needed.globals = section.count() as usize,
            Payload::ImportSection(section) => needed.names = section.count() as usize,
            Payload::ExportSection(section) => needed.names = section.count() as usize,
            Payload::ComponentImportSection(section) => needed.names = section.count() as usize,
            Payload::ComponentExportSection(section) => needed.names = section.count() as usize,
            Payload::ComponentTypeSection(section) => {
                for item in section.clone() {
                    needed.names = needed.names.saturating_add(names_of(&item?));
                }
            }
            _ => {}
        }
        Ok(needed)
    }

    fn add(&mut self, more: Self) {
        self.instances = self.instances.saturating_add(more.instances);
        self.components = self.components.saturating_add(more.components);
        self.definitions = self.definitions.saturating_add(more.definitions);
        self.memories = self.memories.saturating_add(more.memories);
        self.tables = self.tables.saturating_add(more.tables);
        self.entries = self.entries.saturating_add(more.entries);
        self.elements = self.elements.saturating_add(more.elements);
        self.data = self.data.saturating_add(more.data);
        self.globals = self.globals.saturating_add(more.globals);
        self.names = self.names.saturating_add(more.names);
    }
}

/// The imports and exports that a type lists: one import of an instance can stand for any number of them.
fn names_of(item: &ComponentType<'_>) -> usize {
    match item {
        ComponentType::Instance(declarations) => {
            let names = declarations.iter().map(|declaration| match declaration {
                InstanceTypeDeclaration::Export { .. } => 1,
                InstanceTypeDeclaration::Type(inner) => names_of(inner),
                InstanceTypeDeclaration::CoreType(_) | InstanceTypeDeclaration::Alias(_) => 0,
            });
            names.sum()
        }
        ComponentType::Component(declarations) => {
            let names = declarations.iter().map(|declaration| match declaration {
                ComponentTypeDeclaration::Export { .. } | ComponentTypeDeclaration::Import(_) => 1,
                ComponentTypeDeclaration::Type(inner) => names_of(inner),
                ComponentTypeDeclaration::CoreType(_) | ComponentTypeDeclaration::Alias(_) => 0,
            });
            names.sum()
        }
        ComponentType::Defined(_) | ComponentType::Func(_) | ComponentType::Resource { .. } => 0,
    }
}

/// A component or a core module that is being read.
#[derive(Default)]
struct Frame {
    is_module: bool,
    /// What one instance of it takes.
    needed: Needed,
    /// What an instance of each of its modules takes, and of each of its components. Nothing is known of those that it imports, or that
    /// an instance exports.
    modules: Vec<Option<Needed>>,
    components: Vec<Option<Needed>>,
}

/// Adds up what the instances take that a component creates. `own` is what the payload adds by itself.
fn follow(frames: &mut Vec<Frame>, payload: &Payload<'_>, own: Needed) -> anyhow::Result<()> {
    if let Payload::ModuleSection { .. } = payload {
        let needed = Needed { instances: 1, ..Needed::default() };
        frames.push(Frame { is_module: true, needed, ..Frame::default() });
        return Ok(());
    }
    if let Payload::ComponentSection { .. } = payload {
        let needed = Needed { components: 1, ..Needed::default() };
        frames.push(Frame { needed, ..Frame::default() });
        return Ok(());
    }
    if let Payload::ComponentAliasSection(section) = payload {
        if let Some(frame) = frames.last_mut() {
            frame.needed.add(own);
        }
        for alias in section.clone() {
            if let Some((is_module, needed)) = of_alias(frames, &alias?)
                && let Some(frame) = frames.last_mut()
            {
                frame.define(is_module, needed)?;
            }
        }
        return Ok(());
    }
    if let Payload::End(_) = payload {
        // The frame of the whole file stays.
        if frames.len() > 1
            && let Some(Frame { is_module, needed, .. }) = frames.pop()
            && let Some(frame) = frames.last_mut()
        {
            frame.define(is_module, Some(needed))?;
        }
        return Ok(());
    }
    frames.last_mut().map_or(Ok(()), |frame| frame.add(payload, own))
}

/// Whether an alias is one of a module (true) or of a component (false), and what an instance of that takes, if it is known; none for
/// aliases of anything else.
fn of_alias(frames: &[Frame], alias: &ComponentAlias<'_>) -> Option<(bool, Option<Needed>)> {
    match alias {
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => Some((true, None)),
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => Some((false, None)),
        ComponentAlias::Outer { kind, count, index } => {
            let (count, index) = (*count as usize, *index as usize);
            let outer = frames.iter().rev().nth(count);
            let (is_module, space) = match kind {
                ComponentOuterAliasKind::CoreModule => (true, outer.map(|outer| &outer.modules)),
                ComponentOuterAliasKind::Component => (false, outer.map(|outer| &outer.components)),
                ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return None,
            };
            Some((is_module, space.and_then(|space| *space.get(index)?)))
        }
        _ => None,
    }
}

impl Frame {
    /// Adds a module (true) or a component (false) to those that can be instantiated.
    fn define(&mut self, is_module: bool, needed: Option<Needed>) -> anyhow::Result<()> {
        let space = if is_module { &mut self.modules } else { &mut self.components };
        ensure!(space.len() < REMEMBERED, "it has more than {REMEMBERED} modules or components");
        space.push(needed);
        Ok(())
    }

    fn add(&mut self, payload: &Payload<'_>, own: Needed) -> anyhow::Result<()> {
        self.needed.add(own);
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let module = self.modules.get(module_index as usize).copied().flatten();
                        self.needed.add(module.context(UNKNOWN)?);
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let component = self.components.get(component_index as usize).copied().flatten();
                        self.needed.add(component.context(UNKNOWN)?);
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.define(true, None)?,
                        ComponentTypeRef::Component(_) => self.define(false, None)?,
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                // What is exported gets another index.
                for export in section.clone() {
                    let export = export?;
                    let index = export.index as usize;
                    let (is_module, space) = match export.kind {
                        ComponentExternalKind::Module => (true, &self.modules),
                        ComponentExternalKind::Component => (false, &self.components),
                        _ => continue,
                    };
                    let needed = space.get(index).copied().flatten();
                    self.define(is_module, needed)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    fn exceeded(found: usize, limit: Limit) -> String {
        format!("it has {found} {}, but at most {} are allowed", limit.what, limit.most)
    }

    #[test]
    fn an_exceeded_limit_is_named_with_what_was_found() {
        assert!(
            check(&wat::parse_str("(component (core module (global i32 (i32.const 0))))").unwrap()).is_ok()
        );
        let nulls = "(ref.null func) ".repeat(60_000);
        let module = format!("(core module (elem funcref {nulls}))");
        assert!(check(&wat::parse_str(format!("(component {module})")).unwrap()).is_ok());
        assert_eq!(
            refusal(&format!("(component {module} {module})")),
            exceeded(120_002, structure::ELEMENTS)
        );
        let modules = "(core module)".repeat(203);
        assert_eq!(refusal(&format!("(component {modules})")), exceeded(203, structure::MODULES));
        let globals = "(global i32 (i32.const 0))".repeat(10_001);
        assert_eq!(
            refusal(&format!("(component (core module {globals}))")),
            exceeded(10_001, structure::GLOBALS)
        );
        let exports: String = (0..50_001).map(|number| format!("(export \"{number}\" (func 0))")).collect();
        assert_eq!(
            refusal(&format!("(component (core module (func) {exports}))")),
            exceeded(50_001, structure::NAMES)
        );
        let long = "(i32.const 0) (drop) ".repeat(800_000);
        let refused = refusal(&format!("(component (core module (func {long})))"));
        assert!(refused.contains("bytes in one function, but at most 1048576 are allowed"), "{refused}");
    }

    #[test]
    fn every_instance_counts_however_deep() {
        let of = |text: &str| {
            let mut frames = vec![Frame::default()];
            for payload in Parser::new(0).parse_all(&wat::parse_str(text).unwrap()) {
                let payload = payload.unwrap();
                follow(&mut frames, &payload, Needed::of(&payload).unwrap()).unwrap();
            }
            frames[0].needed
        };
        let module = "(core module $m (import \"\" \"\" (global i32)) (memory 1) (table 5 funcref) (table 2 funcref) \
                      (global i32 (i32.const 0)) (elem funcref (ref.null func) (ref.null func)) (data \"x\"))";
        let once = Needed {
            instances: 1,
            components: 0,
            definitions: 1,
            memories: 1,
            tables: 2,
            entries: 7,
            elements: 3,
            data: 1,
            globals: 1,
            names: 1,
        };
        assert_eq!(of(&format!("(component {module})")), Needed::default());
        assert_eq!(of(&format!("(component {module} (core instance (instantiate $m)))")), once);
        let twice = format!("{module} (core instance (instantiate $m)) (core instance (instantiate $m))");
        let nested = of(&format!(
            "(component (component $c {twice}) (instance (instantiate $c)) (instance (instantiate $c)))"
        ));
        let expected = Needed {
            instances: 4,
            components: 2,
            definitions: 6,
            memories: 4,
            tables: 8,
            entries: 28,
            elements: 12,
            data: 4,
            globals: 4,
            names: 4,
        };
        assert_eq!(nested, expected);
        let aliased = of(&format!(
            "(component $outer {module} (component $c (alias outer $outer $m (core module $n)) \
             (core instance (instantiate $n))) (instance (instantiate $c)))"
        ));
        assert_eq!(aliased, Needed { components: 1, definitions: 3, ..once });
    }

    #[test]
    fn instances_of_instances_are_refused_before_they_are_compiled() {
        let doubled = |inside: &str| {
            let mut text = format!("(component $c0 {inside})");
            for level in 1..80 {
                let below = level - 1;
                text = format!(
                    "(component $c{level} {text} (instance (instantiate $c{below})) \
                     (instance (instantiate $c{below})))"
                );
            }
            refusal(&text.replacen("$c79", "", 1))
        };
        let refused = doubled("(core module $m (memory 1)) (core instance (instantiate $m))");
        assert!(refused.contains("core instances, but at most 200 are allowed"), "{refused}");
        let refused = doubled("");
        assert!(refused.contains("component instances, but at most 1000 are allowed"), "{refused}");
    }

    #[test]
    fn what_each_instance_allocates_is_counted_for_each() {
        let instances = |module: &str, count: usize| {
            let instances = "(core instance (instantiate $m))".repeat(count);
            wat::parse_str(format!("(component (core module $m {module}) {instances})")).unwrap()
        };
        let elements = format!("(elem funcref {})", "(ref.null func) ".repeat(9_999));
        let empty = "(elem func)".repeat(10_000);
        let data = "(data \"\")".repeat(10_000);
        let globals = "(global i32 (i32.const 0))".repeat(1_000);
        let imports = "(import \"\" \"\" (global i32))".repeat(5_000);
        for (module, limit, each) in [
            (elements, structure::ELEMENTS, 10_000),
            (empty, structure::ELEMENTS, 10_000),
            (data, structure::DATA, 10_000),
            (globals, structure::GLOBALS, 1_000),
            (imports, structure::NAMES, 5_000),
        ] {
            check(&instances(&module, 10)).unwrap();
            let refused = check(&instances(&module, 11)).unwrap_err().to_string();
            assert_eq!(refused, exceeded(11 * each, limit));
        }
    }

    #[test]
    fn the_names_in_types_are_counted() {
        let resources: String =
            (0..50_000).map(|number| format!("(export \"r{number}\" (type (sub resource)))")).collect();
        let import = format!("(import \"wasi:x/y@0.2.0\" (instance {resources}))");
        assert_eq!(refusal(&format!("(component {import})")), exceeded(50_001, structure::NAMES));
        let within =
            "(type (component (import \"a\" (instance (export \"b\" (func)))) (export \"c\" (func))))";
        let component = wat::parse_str(format!("(component {within})")).unwrap();
        let names: usize = Parser::new(0)
            .parse_all(&component)
            .map(|payload| Needed::of(&payload.unwrap()).unwrap().names)
            .sum();
        assert_eq!(names, 3);
    }

    #[test]
    fn instances_of_what_is_not_known_are_refused() {
        let module = "(component $c (core module $m) (export \"m\" (core module $m)))";
        let inner = "(component $c (component $d) (export \"d\" (component $d)))";
        for text in [
            "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))".to_owned(),
            "(component (import \"c\" (component $c)) (instance (instantiate $c)))".to_owned(),
            format!(
                "(component {module} (instance $i (instantiate $c)) (alias export $i \"m\" (core module $m)) \
                 (core instance (instantiate $m)))"
            ),
            format!(
                "(component {inner} (instance $i (instantiate $c)) (alias export $i \"d\" (component $d)) \
                 (instance (instantiate $d)))"
            ),
        ] {
            let expected = "it creates an instance of a core module or of a component that is imported, or that another \
                            instance exports; only those in the file itself can be instantiated";
            assert_eq!(refusal(&text), expected, "{text}");
        }
        // It is not refused before somebody creates an instance.
        let component = format!("(component {module} (instance $i (instantiate $c)))");
        check(&wat::parse_str(component).unwrap()).unwrap();
    }

    #[test]
    fn a_memory_and_an_entry_too_many_are_named() {
        let instances = |module: &str, count: usize| {
            format!(
                "(component (core module $m {module}) {})",
                "(core instance (instantiate $m))".repeat(count)
            )
        };
        assert_eq!(refusal(&instances("(memory 1)", 33)), exceeded(33, structure::MEMORIES));
        assert_eq!(refusal(&instances("", 201)), exceeded(201, structure::INSTANCES));
        assert_eq!(
            refusal(&instances("(table 30000 funcref)", 2)),
            exceeded(60_000, structure::TABLE_ENTRIES)
        );
        assert!(check(&wat::parse_str(instances("(memory 1) (table 300 funcref)", 32)).unwrap()).is_ok());
    }
}
