//! Subcommands of podman (`rm`, `rmi`, `prune`) that run our own operations instead: podman's own would remove images that the host
//! needs (docs/adr/0008-removing-images.md).

use bootc_image_grammar::{OwnOperation, parse, table};
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::PluginId;

/// The operation that runs instead of podman.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Remove { images: Vec<String> },
    Prune { all: bool },
}

/// The own operation that a plan stands for, if any; podman runs all other subcommands.
pub(crate) fn of_plan(
    plugin: &PluginId,
    invoked: &str,
    subcommand: &str,
    args: &[String],
) -> Result<Option<Own>, Denial> {
    let Some(own) = table(subcommand).and_then(|table| table.does.own()) else { return Ok(None) };
    let denied = |by: &'static str, code: &str, message: String, hint: String| Denial {
        denied_by: DeniedBy::Host(by),
        code: code.to_owned(),
        message,
        hint: Some(hint),
    };
    if subcommand != invoked {
        let message = format!("plugin {plugin} planned `{subcommand}` for `cmd {}`", invoked.escape_debug());
        let hint =
            "contact the plugin's vendor: a plugin must plan exactly the subcommand that the user runs"
                .to_owned();
        return Err(denied("claims", "other-subcommand", message, hint));
    }
    let command = parse(subcommand, args).map_err(|refusal| {
        let hint = format!(
            "for the supported options, run: bootc-image cmd {subcommand} --help; if you meant an option of bootc-image itself, put it before `cmd`"
        );
        denied("grammar", "not-in-table", format!("`cmd {subcommand}`: {refusal}"), hint)
    })?;
    let is_prune = own == OwnOperation::Prune;
    let offered: &[&str] = if is_prune { &["all", "force"] } else { &[] };
    if let Some(other) = command.flags().iter().find(|flag| !offered.contains(&flag.name.as_str())) {
        let message = format!("`cmd {subcommand}`: option --{} is not supported", other.name);
        let hint = if is_prune {
            "`--all` removes every image that is not needed; to see which, run: bootc-image --dry-run cmd prune --all"
        } else {
            "name each image to remove; images that a deployment, a bound image, a unit or a container needs are never removed"
        };
        return Err(denied("host", "not-offered", message, hint.to_owned()));
    }
    Ok(Some(if is_prune {
        Own::Prune { all: command.is_on("all") }
    } else {
        Own::Remove { images: command.operands().to_vec() }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> PluginId {
        PluginId::new("p").unwrap()
    }

    fn asked(invoked: &str, args: &[&str]) -> Result<Option<Own>, String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        of_plan(&plugin(), invoked, invoked, &args).map_err(|denial| denial.code)
    }

    #[test]
    fn some_subcommands_are_operations_of_our_own() {
        let remove = |names: &[&str]| {
            Ok(Some(Own::Remove { images: names.iter().map(|&name| name.to_owned()).collect() }))
        };
        assert_eq!(asked("prune", &["-a", "--force"]), Ok(Some(Own::Prune { all: true })));
        assert_eq!(asked("prune", &["--all=false"]), Ok(Some(Own::Prune { all: false })));
        assert_eq!(asked("rm", &["a", "b:1"]), remove(&["a", "b:1"]));
        assert_eq!(asked("rmi", &["--", "a"]), remove(&["a"]));
        assert_eq!(asked("list", &[]), Ok(None));
    }

    #[test]
    fn other_options_of_these_subcommands_are_denied() {
        for (invoked, args, code) in [
            ("prune", &["--filter=until=1h"][..], "not-offered"),
            ("prune", &["--external"], "not-offered"),
            ("rm", &["--force", "a"], "not-offered"),
            ("rmi", &["--all", "a"], "not-offered"),
            ("rm", &["--root=/x", "a"], "not-in-table"),
            ("rm", &[], "not-in-table"),
            ("prune", &["a"], "not-in-table"),
        ] {
            assert_eq!(asked(invoked, args), Err(code.to_owned()), "{invoked} {args:?}");
        }
        let other = of_plan(&plugin(), "list", "rm", &["a".to_owned()]).unwrap_err();
        assert_eq!(other.code, "other-subcommand");
        assert_eq!(other.message, "plugin p planned `rm` for `cmd list`");
    }
}
