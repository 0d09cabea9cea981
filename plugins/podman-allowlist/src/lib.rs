//! The allowlist of `bootc-image cmd`. The host has no list of its own.

mod allowlist;

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

/// The subcommands of `podman image` that are allowed on bootc's storage. `plugin.toml` lists the same ones.
const ALLOWED: &[&str] = &["build", "list", "pull", "push"];

struct PodmanAllowlist;

impl Command for PodmanAllowlist {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        allowlist::plan_with(ALLOWED, name, args)
    }
}

export_command!(PodmanAllowlist);
