//! The settings of wasmtime that its compiler and its runtime must agree on, in the one place that both read.
//!
//! The compiler runs while the host is built (`bootc-image-plugin-builder`) and in the helper, the runtime in the host
//! (`bootc-image-engine`). wasmtime refuses an artefact whose settings differ from its own, so such a setting that is changed
//! anywhere else breaks every embedded plugin.

use wasmtime::Config;

/// What Cranelift is told for a target of rustc, none if plugins can't be compiled for it. Naming a target makes it assume the
/// baseline of that target instead of the processor at hand; the C library makes no difference to a component.
pub fn baseline(target: &str) -> Option<&'static str> {
    let fits = target.starts_with("x86_64-") && target.contains("-linux-");
    fits.then_some("x86_64-unknown-linux-gnu")
}

/// The shared settings. The compiler adds its target to them, the runtime where memory comes from, of which compiled code knows
/// nothing.
///
/// Memory keeps wasmtime's default reservations, which let compiled code do without bounds checks.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Time limits interrupt a component at the next loop or call.
        .epoch_interruption(true)
        // Not linked in, like threads; said here so that a feature of wasmtime switched on elsewhere in the
        // build doesn't change artefacts.
        .gc_support(false)
        // Reasons are taken from the kind of trap and from the plugin's own last words; nobody reads frames.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}
