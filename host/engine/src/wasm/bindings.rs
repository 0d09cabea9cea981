//! Bindings generated from `wit/`: all imports in one module, and each world using it.

// The code is generated, and its documentation is in the WIT files.
#![allow(missing_docs, unreachable_pub, clippy::all)]

/// The imports of all worlds.
pub(super) mod imports {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/host", "../../wit/policy"],
        inline: "
            package bootc-image:engine;
            world imports {
                import bootc-image:types/problems@0.1.0;
                import bootc-image:host/log@0.1.0;
                import bootc-image:host/config@0.1.0;
                import bootc-image:host/digest-lists@0.1.0;
                import bootc-image:host/rows@0.1.0;
                import bootc-image:host/images@0.1.0;
                import bootc-image:host/transfers@0.1.0;
                import bootc-image:policy/operations@0.1.0;
            }
        ",
        world: "bootc-image:engine/imports",
        imports: { default: trappable },
        with: {
            "bootc-image:host/rows.cursor": crate::wasm::rows::Cursor,
            "bootc-image:policy/operations.operation": crate::wasm::operations::Lent,
        },
    });
}

/// Wrappers.
pub(super) mod wrapper {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/host", "../../wit/command"],
        world: "bootc-image:command/wrapper",
        imports: { default: trappable },
        with: {
            "bootc-image:types": super::imports::bootc_image::types,
            "bootc-image:host": super::imports::bootc_image::host,
        },
    });
}

/// Policies.
pub(super) mod validator {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/host", "../../wit/policy"],
        world: "bootc-image:policy/validator",
        imports: { default: trappable },
        with: {
            "bootc-image:types": super::imports::bootc_image::types,
            "bootc-image:host": super::imports::bootc_image::host,
            "bootc-image:policy/operations": super::imports::bootc_image::policy::operations,
        },
    });
}

/// Formats.
pub(super) mod output {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/host", "../../wit/format"],
        world: "bootc-image:format/output",
        imports: { default: trappable },
        with: {
            "bootc-image:types": super::imports::bootc_image::types,
            "bootc-image:host": super::imports::bootc_image::host,
        },
    });
}

/// Plugins that check their settings.
pub(super) mod configurable {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/host"],
        world: "bootc-image:host/configurable",
        with: { "bootc-image:types": super::imports::bootc_image::types },
    });
}
