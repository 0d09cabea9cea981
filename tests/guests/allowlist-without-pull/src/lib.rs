//! The built-in plugin with one entry less in its list. Its manifest is the real one and still claims `pull`: what is
//! allowed is up to the plugin's code alone.

#[path = "../../../../plugins/podman-allowlist/src/allowlist.rs"]
mod allowlist;

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct WithoutPull;

impl Command for WithoutPull {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        allowlist::plan_with(&["list"], name, args)
    }
}

export_command!(WithoutPull);
