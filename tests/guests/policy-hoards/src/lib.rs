//! Imports a little of WASI by hand: asks for one resource of the host's after the other, and gives none back.

// Generated code.
#![allow(missing_docs, unsafe_code)]

use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy};

wit_bindgen::generate!({
    inline: "
        package site:hoards@0.1.0;
        world hoarder { import wasi:cli/stdin@0.2.0; }

        package wasi:io@0.2.0 {
            interface streams { resource input-stream; }
        }

        package wasi:cli@0.2.0 {
            interface stdin {
                use wasi:io/streams@0.2.0.{input-stream};
                get-stdin: func() -> input-stream;
            }
        }
    ",
    world: "site:hoards/hoarder",
    generate_all,
});

struct Hoards;

impl Policy for Hoards {
    fn evaluate(_: &Operation) -> Result<Verdict, Problem> {
        for _ in 0..5000 {
            std::mem::forget(wasi::cli::stdin::get_stdin());
        }
        Ok(Verdict::allow("5000 handles"))
    }
}

export_policy!(Hoards);
