//! Generated from `wit/`; not part of the stable interface.

// Generated code: it is documented in the WIT, and calls across the boundary need `unsafe`.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]

pub use wit_bindgen;

/// All imports in one place, so that all worlds share one set of types.
pub mod imports {
    wit_bindgen::generate!({
        path: ["wit/types", "wit/host", "wit/policy"],
        inline: "
            package bootc-image:sdk;
            world imports {
                import bootc-image:types/attrs@0.1.0;
                import bootc-image:types/problems@0.1.0;
                import bootc-image:types/references@0.1.0;
                import bootc-image:host/log@0.1.0;
                import bootc-image:host/config@0.1.0;
                import bootc-image:host/digest-lists@0.1.0;
                import bootc-image:host/rows@0.1.0;
                import bootc-image:host/images@0.1.0;
                import bootc-image:host/transfers@0.1.0;
                import bootc-image:policy/operations@0.1.0;
            }
        ",
        world: "bootc-image:sdk/imports",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
    });
}

/// The world of command plugins.
pub mod wrapper {
    wit_bindgen::generate!({
        path: ["wit/types", "wit/host", "wit/command"],
        world: "bootc-image:command/wrapper",
        with: {
            "bootc-image:types/attrs@0.1.0": crate::bindings::imports::bootc_image::types::attrs,
            "bootc-image:types/problems@0.1.0": crate::bindings::imports::bootc_image::types::problems,
            "bootc-image:host/log@0.1.0": crate::bindings::imports::bootc_image::host::log,
            "bootc-image:host/config@0.1.0": crate::bindings::imports::bootc_image::host::config,
            "bootc-image:host/rows@0.1.0": crate::bindings::imports::bootc_image::host::rows,
            "bootc-image:host/images@0.1.0": crate::bindings::imports::bootc_image::host::images,
            "bootc-image:host/transfers@0.1.0": crate::bindings::imports::bootc_image::host::transfers,
            "bootc-image:command/commands@0.1.0": generate,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_wrapper",
        default_bindings_module: "bootc_image_plugin_sdk::bindings::wrapper",
        runtime_path: "bootc_image_plugin_sdk::bindings::wit_bindgen::rt",
    });
}

/// The world of policies.
pub mod validator {
    wit_bindgen::generate!({
        path: ["wit/types", "wit/host", "wit/policy"],
        world: "bootc-image:policy/validator",
        with: {
            "bootc-image:types/attrs@0.1.0": crate::bindings::imports::bootc_image::types::attrs,
            "bootc-image:types/problems@0.1.0": crate::bindings::imports::bootc_image::types::problems,
            "bootc-image:types/references@0.1.0": crate::bindings::imports::bootc_image::types::references,
            "bootc-image:host/log@0.1.0": crate::bindings::imports::bootc_image::host::log,
            "bootc-image:host/config@0.1.0": crate::bindings::imports::bootc_image::host::config,
            "bootc-image:host/digest-lists@0.1.0": crate::bindings::imports::bootc_image::host::digest_lists,
            "bootc-image:policy/operations@0.1.0": crate::bindings::imports::bootc_image::policy::operations,
            "bootc-image:policy/validate@0.1.0": generate,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_validator",
        default_bindings_module: "bootc_image_plugin_sdk::bindings::validator",
        runtime_path: "bootc_image_plugin_sdk::bindings::wit_bindgen::rt",
    });
}

/// The world of plugins that format lists.
pub mod output {
    wit_bindgen::generate!({
        path: ["wit/types", "wit/host", "wit/format"],
        world: "bootc-image:format/output",
        with: {
            "bootc-image:types/attrs@0.1.0": crate::bindings::imports::bootc_image::types::attrs,
            "bootc-image:types/problems@0.1.0": crate::bindings::imports::bootc_image::types::problems,
            "bootc-image:host/log@0.1.0": crate::bindings::imports::bootc_image::host::log,
            "bootc-image:host/config@0.1.0": crate::bindings::imports::bootc_image::host::config,
            "bootc-image:host/rows@0.1.0": crate::bindings::imports::bootc_image::host::rows,
            "bootc-image:format/formatter@0.1.0": generate,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_output",
        default_bindings_module: "bootc_image_plugin_sdk::bindings::output",
        runtime_path: "bootc_image_plugin_sdk::bindings::wit_bindgen::rt",
    });
}

/// The additional export of plugins that check their settings.
pub mod configurable {
    wit_bindgen::generate!({
        path: ["wit/types", "wit/host"],
        world: "bootc-image:host/configurable",
        with: {
            "bootc-image:types/attrs@0.1.0": crate::bindings::imports::bootc_image::types::attrs,
            "bootc-image:types/problems@0.1.0": crate::bindings::imports::bootc_image::types::problems,
            "bootc-image:host/settings@0.1.0": generate,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_configurable",
        default_bindings_module: "bootc_image_plugin_sdk::bindings::configurable",
        runtime_path: "bootc_image_plugin_sdk::bindings::wit_bindgen::rt",
    });
}
