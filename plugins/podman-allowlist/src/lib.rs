//! The allowlist of `bootc-image cmd`. It lives here and nowhere else.

mod allowlist;

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

/// The subcommands of `podman image` that may be used on bootc's storage. `plugin.toml` claims the same.
const ALLOWED: &[&str] = &["build", "list", "pull", "push"];

struct PodmanAllowlist;

impl Command for PodmanAllowlist {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        allowlist::plan_with(ALLOWED, name, args)
    }
}

export_command!(PodmanAllowlist);
