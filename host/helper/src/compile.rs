//! Compiles a component to machine code. Components are untrusted and could be built to make compiling expensive, so its resources are
//! limited.

use std::fs::File;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, anyhow};
use bootc_image_engine_config::structure;
use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use crate::{advice, bounds};

/// The most processor time, in seconds.
const TIME: u64 = 60;
/// The most memory, in bytes.
const MEMORY: u64 = 2 << 30;
/// The largest output, in bytes.
const OUTPUT: u64 = 1 << 30;

/// The component itself cannot be compiled, on any host.
#[derive(Debug)]
pub(crate) struct Uncompilable(anyhow::Error);

impl std::fmt::Display for Uncompilable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Messages of the parser have several lines, of which only the last would be shown.
        let text = format!("{:#}", self.0);
        f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl std::error::Error for Uncompilable {}

/// Compiles the component on descriptor 3 and writes the machine code to descriptor 4.
pub(crate) fn compile() -> anyhow::Result<()> {
    for (resource, most) in [(Resource::Cpu, TIME), (Resource::As, MEMORY), (Resource::Fsize, OUTPUT)] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .context("cannot limit the resources of the compiler")?;
    }
    let mut component = Vec::new();
    let source = File::open("/proc/self/fd/3").context("descriptor 3 must be a component")?;
    let largest = structure::FILE.most as u64;
    source.take(largest + 1).read_to_end(&mut component).context("cannot read the component")?;
    let code = compile_bytes(&component).map_err(|error| {
        Uncompilable(if component.starts_with(b"\0asm") {
            error
        } else {
            error.context("the file is not a WebAssembly component")
        })
    })?;
    let mut target =
        File::options().write(true).open("/proc/self/fd/4").context("descriptor 4 must be a file")?;
    target.write_all(&code).context("cannot write the machine code")
}

fn compile_bytes(component: &[u8]) -> anyhow::Result<Vec<u8>> {
    advice::check(component)?;
    bounds::check(component)?;
    let target = format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS);
    let target = bootc_image_engine_config::baseline(&target)
        .ok_or_else(|| anyhow!("plugins cannot be compiled for {target}"))?;
    let compile = || {
        let mut config = bootc_image_engine_config::engine_config();
        config.target(target)?;
        Engine::new(&config)?.precompile_component(component)
    };
    compile().map_err(|error| {
        let refused = format!("{error:#}");
        match advice::of_refusal(&refused) {
            "" => anyhow!(refused),
            advice => anyhow!("{advice} ({refused})"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_than_components_are_refused() {
        for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"\x7fELF"] {
            assert!(compile_bytes(bytes).is_err(), "{bytes:?}");
        }
        assert!(!compile_bytes(b"\0asm\x0d\0\x01\0").unwrap().is_empty());
    }
}
