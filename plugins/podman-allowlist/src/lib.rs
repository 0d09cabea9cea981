//! The allowlist of `bootc-image cmd`. The host has no list of its own.

mod allowlist;
mod settings;

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::config::{self, Settings};
use bootc_image_plugin_sdk::{Failure, Problem, export_command, export_settings};

/// The subcommands of `podman image` that are allowed on bootc's storage. `plugin.toml` lists the same ones.
const ALLOWED: &[&str] = &["build", "list", "pull", "push"];

struct PodmanAllowlist;

impl Command for PodmanAllowlist {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        let allowed = settings::narrowed(&config::settings(), ALLOWED).map_err(|problem| {
            Failure::failed("bad-setting", problem.message)
                .with_hint("fix [settings.podman-allowlist] in the configuration")
        })?;
        allowlist::plan_with(&allowed, name, args)
    }
}

impl Settings for PodmanAllowlist {
    fn check(json: &str) -> Result<(), Vec<Problem>> {
        settings::narrowed(json, ALLOWED).map(drop).map_err(|problem| vec![problem])
    }
}

export_command!(PodmanAllowlist);
export_settings!(PodmanAllowlist);
