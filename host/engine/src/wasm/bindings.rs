//! Generated from `wit/`.

// Generated code: its documentation is that of the WIT.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: ["../../wit/types", "../../wit/host", "../../wit/command"],
    world: "bootc-image:command/wrapper",
    imports: { default: trappable },
});
