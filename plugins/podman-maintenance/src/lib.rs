//! What maintenance of bootc's container storage takes: looking at images, naming them, saving, loading and removing them.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

/// The subcommands that `plugin.toml` claims.
const SUBCOMMANDS: &[&str] =
    &["exists", "history", "inspect", "load", "prune", "rm", "rmi", "save", "tag", "tree", "untag"];

/// The plugin.
pub struct PodmanMaintenance;

impl Command for PodmanMaintenance {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        if !SUBCOMMANDS.contains(&name) {
            return Err(Failure::denied("not-maintenance", format!("`{name}` isn't maintenance"))
                .with_hint(format!("it is: {}", SUBCOMMANDS.join(", "))));
        }
        if name == "untag" && operands(args) == 1 {
            return Err(Failure::usage("`untag` without a name would take all names from the image")
                .with_hint("list the names to remove, or remove the image with: bootc-image cmd rm IMAGE"));
        }
        Ok(Plan::run(std::iter::once(name).chain(args.iter().map(String::as_str))))
    }
}

/// How many of these aren't options; none of `untag` takes a value.
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
    fn every_claimed_subcommand_is_planned_as_typed() {
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
