//! Limits on the structure of a component. They cover what the limits of a run do not count, because it costs the component neither
//! instructions nor memory of its own, and what would cost the host time and memory in every run.

use anyhow::{anyhow, ensure};
use wasmparser::{ElementItems, Parser, Payload};

/// The most core modules.
const MODULES: usize = 100;
/// The most entries of element segments, all modules together. This is twice the number of table entries of a run.
const ELEMENTS: usize = 20_000;
/// The most globals, all modules together.
const GLOBALS: usize = 10_000;
/// The most imports and exports, on all levels.
const NAMES: usize = 50_000;
/// The most functions, all modules together.
const FUNCTIONS: usize = 200_000;
/// The largest function, in bytes of its code.
const LARGEST_FUNCTION: usize = 1 << 20;

#[derive(Default)]
struct Count {
    modules: usize,
    elements: usize,
    globals: usize,
    names: usize,
    functions: usize,
}

/// Fails if a component exceeds a limit or cannot be parsed.
pub(crate) fn check(component: &[u8]) -> anyhow::Result<()> {
    let mut count = Count::default();
    for payload in Parser::new(0).parse_all(component) {
        count.add(&payload?)?;
        for (what, found, most) in [
            ("core modules", count.modules, MODULES),
            ("entries of element segments", count.elements, ELEMENTS),
            ("globals", count.globals, GLOBALS),
            ("imports and exports", count.names, NAMES),
            ("functions", count.functions, FUNCTIONS),
        ] {
            ensure!(found <= most, "it has more than {most} {what}");
        }
    }
    Ok(())
}

impl Count {
    fn add(&mut self, payload: &Payload<'_>) -> anyhow::Result<()> {
        let (count, found) = match payload {
            Payload::ModuleSection { .. } => (&mut self.modules, 1),
            Payload::GlobalSection(section) => (&mut self.globals, section.count()),
            Payload::FunctionSection(section) => (&mut self.functions, section.count()),
            Payload::ImportSection(section) => (&mut self.names, section.count()),
            Payload::ExportSection(section) => (&mut self.names, section.count()),
            Payload::ComponentImportSection(section) => (&mut self.names, section.count()),
            Payload::ComponentExportSection(section) => (&mut self.names, section.count()),
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len();
                ensure!(
                    size <= LARGEST_FUNCTION,
                    "one of its functions has {size} bytes, but at most {LARGEST_FUNCTION} are allowed"
                );
                return Ok(());
            }
            Payload::ElementSection(section) => {
                // Every entry has at least one byte in the section, so this takes no longer than reading the section.
                let mut found = 0_u32;
                for element in section.clone() {
                    found = found.saturating_add(match element?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    });
                }
                (&mut self.elements, found)
            }
            _ => return Ok(()),
        };
        let found =
            usize::try_from(found).map_err(|_| anyhow!("one of its sections has too many entries"))?;
        *count = count.saturating_add(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn an_exceeded_limit_is_named() {
        assert!(
            check(&wat::parse_str("(component (core module (global i32 (i32.const 0))))").unwrap()).is_ok()
        );
        let nulls = "(ref.null func) ".repeat(15_000);
        let module = format!("(core module (elem funcref {nulls}))");
        assert!(check(&wat::parse_str(format!("(component {module})")).unwrap()).is_ok());
        assert_eq!(
            refusal(&format!("(component {module} {module})")),
            "it has more than 20000 entries of element segments"
        );
        let modules = "(core module)".repeat(101);
        assert_eq!(refusal(&format!("(component {modules})")), "it has more than 100 core modules");
        let globals = "(global i32 (i32.const 0))".repeat(10_001);
        assert_eq!(
            refusal(&format!("(component (core module {globals}))")),
            "it has more than 10000 globals"
        );
        let exports: String = (0..50_001).map(|number| format!("(export \"{number}\" (func 0))")).collect();
        assert_eq!(
            refusal(&format!("(component (core module (func) {exports}))")),
            "it has more than 50000 imports and exports"
        );
        let long = "(i32.const 0) (drop) ".repeat(800_000);
        assert!(
            refusal(&format!("(component (core module (func {long})))")).starts_with("one of its functions")
        );
    }
}
