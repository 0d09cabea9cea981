//! Recognises files that a toolchain made for another kind of host, and says what their author has to do. Without this, the compiler
//! or the linker would refuse them in their own words.

use anyhow::anyhow;
use wasmparser::{KnownCustom, Parser, Payload};

/// Fails if the file is a core module, or a component for another version of WASI.
pub(crate) fn check(file: &[u8]) -> anyhow::Result<()> {
    if !file.starts_with(b"\0asm") {
        return Ok(());
    }
    if Parser::is_core_wasm(file) {
        let advice = of_module(&Origin::of(file));
        return Err(anyhow!("it is a core WebAssembly module, not a component: {advice}"));
    }
    let origin = Origin::of(file);
    let Some(import) = origin.imports.iter().find(|import| is_newer(import)) else { return Ok(()) };
    let version = import.split('@').nth(1).unwrap_or_default();
    Err(anyhow!(
        "it was built for WASI {version} (it imports `{import}`), but this host provides WASI 0.2: {}",
        for_wasi_0_2(&origin)
    ))
}

/// What the author has to do about a feature that the compiler refuses; empty if it is not one of these.
pub(crate) fn of_refusal(refused: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| refused.contains(word));
    if has(&["component model async", "component-model-async"]) {
        "it uses asynchronous functions, which belong to WASI 0.3; this host provides WASI 0.2: build it for WASI 0.2, \
         without asynchronous functions"
    } else if has(&["gc feature", "gc proposal"]) {
        "it uses the garbage collector of WebAssembly, which this host does not provide: build it with a toolchain that \
         brings its own"
    } else if has(&["threads must be enabled", "threads support"]) {
        "it uses threads, which this host does not provide: build it without threads"
    } else {
        ""
    }
}

/// Whether this is an interface of WASI 0.3 or later.
fn is_newer(interface: &str) -> bool {
    let version = interface.strip_prefix("wasi:").and_then(|rest| rest.split('@').nth(1));
    let mut numbers = version.unwrap_or("0.2").split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) > (0, 2)
}

/// What is known about how a file was made.
#[derive(Default)]
struct Origin {
    /// The interfaces, or the core modules, that it imports.
    imports: Vec<String>,
    /// Toolchains that have left their names, in lower case.
    makers: Vec<String>,
}

impl Origin {
    /// Reads as much as can be read: what cannot be read has no name.
    fn of(file: &[u8]) -> Self {
        let mut origin = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(file).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ImportSection(section) if depth == 0 => {
                    let imports = section.into_imports().map_while(Result::ok);
                    origin.imports.extend(imports.map(|import| import.module.to_owned()));
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    let imports = section.into_iter().map_while(Result::ok);
                    origin.imports.extend(imports.map(|import| import.name.name.to_owned()));
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(fields) = section.as_known() {
                        for field in fields.into_iter().map_while(Result::ok) {
                            let values = field.values.into_iter().map_while(Result::ok);
                            origin.makers.extend(values.map(|value| value.name.to_lowercase()));
                        }
                    }
                }
                _ => {}
            }
        }
        origin
    }

    fn imports(&self, prefix: &str) -> bool {
        self.imports.iter().any(|import| import.starts_with(prefix))
    }

    fn made_by(&self, name: &str) -> bool {
        self.makers.iter().any(|maker| maker.contains(name))
    }
}

fn of_module(origin: &Origin) -> &'static str {
    if origin.imports("__wbindgen") || origin.imports("wbg") {
        "wasm-bindgen has made it for JavaScript; build it without wasm-bindgen, with `cargo build --target wasm32-wasip2`"
    } else if origin.imports("gojs") || origin.imports("go") {
        "Go has built it for JavaScript; build it with `tinygo build -target=wasip2`"
    } else if origin.made_by("tinygo") {
        "build it with `tinygo build -target=wasip2`"
    } else if origin.made_by("rustc") {
        "build it with `cargo build --target wasm32-wasip2`, or make a component of it with `wasm-tools component new`"
    } else if origin.imports("env") {
        "it imports functions of `env`, which only its own toolchain provides; build it with one that makes components, \
         such as wasi-sdk with the target wasm32-wasip2"
    } else if origin.imports("wasi_snapshot_preview1") {
        "build it for WASI 0.2, or make a component of it with `wasm-tools component new` and its option `--adapt` for \
         wasi_snapshot_preview1"
    } else {
        "make a component of it with `wasm-tools component embed` and `wasm-tools component new`"
    }
}

fn for_wasi_0_2(origin: &Origin) -> &'static str {
    if origin.made_by("tinygo") {
        "build it with `tinygo build -target=wasip2`"
    } else if origin.made_by("componentizejs") {
        "build it with a version of ComponentizeJS that makes components for WASI 0.2"
    } else if origin.made_by("componentize-py") {
        "build it with a version of componentize-py that makes components for WASI 0.2"
    } else if origin.made_by("rustc") {
        "build it with `cargo build --target wasm32-wasip2`"
    } else {
        "build it for WASI 0.2"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_core_module_is_told_how_to_become_a_component() {
        let module = |import: &str| refusal(&format!("(module {import})"));
        assert_eq!(
            module(""),
            "it is a core WebAssembly module, not a component: make a component of it with `wasm-tools component embed` \
             and `wasm-tools component new`"
        );
        for (import, advice) in [
            (
                "(import \"wasi_snapshot_preview1\" \"fd_write\" (func))",
                "build it for WASI 0.2, or make a component of it with `wasm-tools component new` and its option `--adapt` for \
                 wasi_snapshot_preview1",
            ),
            (
                "(import \"__wbindgen_placeholder__\" \"f\" (func))",
                "wasm-bindgen has made it for JavaScript; build it without wasm-bindgen, with `cargo build --target wasm32-wasip2`",
            ),
            (
                "(import \"gojs\" \"f\" (func))",
                "Go has built it for JavaScript; build it with `tinygo build -target=wasip2`",
            ),
            (
                "(import \"env\" \"f\" (func))",
                "it imports functions of `env`, which only its own toolchain provides; build it with one that makes components, \
                 such as wasi-sdk with the target wasm32-wasip2",
            ),
            (
                "(@producers (language \"Rust\" \"2021\") (processed-by \"rustc\" \"1.95.0\"))",
                "build it with `cargo build --target wasm32-wasip2`, or make a component of it with `wasm-tools component new`",
            ),
            (
                "(@producers (processed-by \"TinyGo\" \"0.40\"))",
                "build it with `tinygo build -target=wasip2`",
            ),
        ] {
            let expected = format!("it is a core WebAssembly module, not a component: {advice}");
            assert_eq!(module(import), expected, "{import}");
        }
    }

    #[test]
    fn the_toolchain_of_a_later_wasi_is_told_what_to_do() {
        for (maker, advice) in [
            (
                "ComponentizeJS",
                "build it with a version of ComponentizeJS that makes components for WASI 0.2",
            ),
            (
                "componentize-py",
                "build it with a version of componentize-py that makes components for WASI 0.2",
            ),
            ("rustc", "build it with `cargo build --target wasm32-wasip2`"),
            ("TinyGo", "build it with `tinygo build -target=wasip2`"),
        ] {
            let origin = Origin { makers: vec![maker.to_lowercase()], ..Origin::default() };
            assert_eq!(for_wasi_0_2(&origin), advice);
        }
        for (refused, advice) in [
            (
                "requires the component model async feature",
                "it uses asynchronous functions, which belong to WASI 0.3; this host provides WASI 0.2: build it for WASI 0.2, \
                 without asynchronous functions",
            ),
            (
                "threads must be enabled for shared memories",
                "it uses threads, which this host does not provide: build it without threads",
            ),
            (
                "the gc feature is not enabled",
                "it uses the garbage collector of WebAssembly, which this host does not provide: build it with a toolchain that \
                 brings its own",
            ),
            ("anything else", ""),
        ] {
            assert_eq!(of_refusal(refused), advice);
        }
    }

    #[test]
    fn a_later_wasi_is_named() {
        let component = |interface: &str| format!("(component (import \"{interface}\" (instance)))");
        assert_eq!(
            refusal(&component("wasi:random/random@0.3.0")),
            "it was built for WASI 0.3.0 (it imports `wasi:random/random@0.3.0`), but this host provides WASI 0.2: build it \
             for WASI 0.2"
        );
        assert!(refusal(&component("wasi:random/random@1.0.0")).contains("WASI 1.0.0"));
        for interface in ["wasi:random/random@0.2.12", "wasi:random/random", "site:a/b@3.0.0"] {
            assert!(check(&wat::parse_str(component(interface)).unwrap()).is_ok(), "{interface}");
        }
        assert!(check(b"\x7fELF").is_ok());
    }
}
