//! Imports a little of WASI by hand: what connecting to a server begins with.

// Generated code.
#![allow(missing_docs, unsafe_code)]

use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy};

wit_bindgen::generate!({
    inline: "
        package site:connects@0.1.0;
        world connector { import wasi:sockets/instance-network@0.2.0; }

        package wasi:sockets@0.2.0 {
            interface network { resource network; }
            interface instance-network {
                use network.{network};
                instance-network: func() -> network;
            }
        }
    ",
    world: "site:connects/connector",
    generate_all,
});

struct Connects;

impl Policy for Connects {
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem> {
        drop(wasi::sockets::instance_network::instance_network());
        Ok(Verdict::allow(format!("{} with a network", operation.kind)))
    }
}

export_policy!(Connects);
