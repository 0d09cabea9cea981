//! The wasmtime settings on which the compiler and the runtime must agree.
//!
//! The compiler runs during the build (`bootc-image-plugin-builder`) and in the helper; the runtime is `bootc-image-engine`. wasmtime
//! refuses code that was compiled with other settings, so these settings must not be changed anywhere else.

pub mod structure;

use wasmtime::Config;

/// Cranelift's target for a target of rustc; none if plugins cannot be compiled for it. With a target, Cranelift uses the baseline
/// instruction set instead of that of the build machine. The C library makes no difference to a component.
pub fn baseline(target: &str) -> Option<&'static str> {
    let fits = target.starts_with("x86_64-") && target.contains("-linux-");
    fits.then_some("x86_64-unknown-linux-gnu")
}

/// The shared settings. The compiler adds its target, and the runtime the allocation strategy, which does not affect compiled code.
///
/// The address space reserved for memories is wasmtime's default, with which compiled code needs no bounds checks.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Time limits interrupt a component at the next loop or call.
        .epoch_interruption(true)
        // Not compiled in, like threads. It is set explicitly so that a feature of wasmtime that another crate of the build enables
        // does not change compiled code.
        .gc_support(false)
        // Messages use the kind of trap and the plugin's panic message, and no stack frames.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}
