//! Panics instead of planning.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct Panics;

impl Command for Panics {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn plan(name: &str, _args: &[String]) -> Result<Plan, Failure> {
        panic!("no plan for {name}\u{1b}[31m")
    }
}

export_command!(Panics);
