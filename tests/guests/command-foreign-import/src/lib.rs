//! Wants a function that no host offers, in an interface of its own making.

// Generated code.
#![allow(missing_docs, unsafe_code)]

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

wit_bindgen::generate!({
    inline: "
        package site:doors@0.1.0;
        interface back { open: func(); }
        world visitor { import back; }
    ",
});

struct ForeignImport;

impl Command for ForeignImport {
    fn plan(name: &str, _args: &[String]) -> Result<Plan, Failure> {
        site::doors::back::open();
        Ok(Plan::run([name]))
    }
}

export_command!(ForeignImport);
