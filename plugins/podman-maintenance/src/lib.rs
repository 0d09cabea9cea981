//! Subcommands for the maintenance of bootc's storage: inspecting, naming, saving, loading and removing images.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

/// The subcommands that `plugin.toml` lists.
const SUBCOMMANDS: &[&str] =
    &["exists", "history", "inspect", "load", "prune", "rm", "rmi", "save", "tag", "tree", "untag"];

pub struct PodmanMaintenance;

impl Command for PodmanMaintenance {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        if !SUBCOMMANDS.contains(&name) {
            return Err(Failure::denied(
                "not-maintenance",
                format!("`{name}` is not a subcommand of this plugin"),
            )
            .with_hint(format!("subcommands of this plugin: {}", SUBCOMMANDS.join(", "))));
        }
        if name == "untag" && operands(args) == 1 {
            return Err(Failure::usage("`untag` without a name would remove all names from the image")
                .with_hint("name what to remove, or remove the image with: bootc-image cmd rm IMAGE"));
        }
        Ok(Plan::run(std::iter::once(name).chain(args.iter().map(String::as_str))))
    }
}

/// The number of arguments that are not options. No option of `untag` takes a value.
fn operands(args: &[String]) -> usize {
    let mut all = false;
    args.iter()
        .filter(|arg| {
            let is_end = !all && arg.as_str() == "--";
            all |= is_end;
            !is_end && (all || !arg.starts_with('-'))
        })
        .count()
}

export_command!(PodmanMaintenance);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, args: &[&str]) -> Result<Vec<String>, Failure> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        PodmanMaintenance::plan(name, &args).map(|plan| plan.argv)
    }

    #[test]
    fn every_listed_subcommand_is_planned_as_typed() {
        let manifest = include_str!("../plugin.toml");
        let claims = manifest.split("[[command]]").skip(1);
        let claims: Vec<&str> = claims.filter_map(|claim| claim.split('"').nth(1)).collect();
        assert_eq!(claims, SUBCOMMANDS);
        for name in SUBCOMMANDS {
            assert_eq!(plan(name, &["--x", "a b", "c"]).unwrap(), [name, "--x", "a b", "c"]);
        }
        assert!(matches!(plan("build", &["."]), Err(Failure::Denied(_))));
    }

    #[test]
    fn an_image_keeps_its_names_unless_they_are_named() {
        for args in [&["a"][..], &["--", "a"], &["--", "--"]] {
            assert!(matches!(plan("untag", args), Err(Failure::Failed(_))), "{args:?}");
        }
        for args in [&["a", "b"][..], &["a", "--", "b"], &["--", "a", "-b"]] {
            assert!(plan("untag", args).is_ok(), "{args:?}");
        }
    }
}
