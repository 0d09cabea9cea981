//! Running podman on bootc's storage, as a plugin planned it.

use bootc_image_grammar::{Command, FlagValue, parse, table};

use super::{Pipeline, writable_physical};
use crate::bootc_store::BootcStore;
use crate::children::exit_code;
use crate::error::{Denial, Error};
use crate::operation::Operation;
use crate::plugin::PluginId;
use crate::reference::Reference;
use crate::report::Report;

/// From a plan to an operation. What isn't in the table doesn't become one.
pub(super) fn resolve(
    invoked: &str,
    plugin: &PluginId,
    subcommand: &str,
    args: &[String],
) -> Result<Operation, Denial> {
    let command = parse(subcommand, args).map_err(|refusal| Denial {
        by: "grammar".to_owned(),
        code: "not-in-table".to_owned(),
        message: format!("`cmd {}`: {refusal}", invoked.escape_debug()),
        hint: Some(format!("see what it takes with: bootc-image cmd {} --help", invoked.escape_debug())),
    })?;
    let pinned = is_pinned(&command);
    Ok(Operation::Cmd { invoked: invoked.to_owned(), plugin: plugin.clone(), command, pinned })
}

/// Whether everything that the command fetches is named by digest, and by nothing else.
fn is_pinned(command: &Command) -> bool {
    if table(command.subcommand()).is_none_or(|table| !table.fetches) {
        return true;
    }
    let every_tag =
        command.flags().iter().any(|flag| flag.name == "all-tags" && flag.value != FlagValue::Switch(false));
    let by_digest = |operand: &String| {
        Reference::parse(operand).is_ok_and(|name| name.digest().is_some() && name.tag().is_none())
    };
    !every_tag && command.operands().iter().all(by_digest)
}

pub(super) fn execute(pipeline: &Pipeline<'_>, command: &Command) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let store = BootcStore::open_or_create(&writable_physical(settings)?, settings, pipeline.talk)?;
    let mut podman = store.podman(settings)?;
    podman.arg("image").args(command.argv());
    Ok(Report::Exited { code: exit_code(podman.run_in_place()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(subcommand: &str, args: &[&str]) -> Result<Operation, Denial> {
        let plugin = PluginId::new("p").unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        resolve(subcommand, &plugin, subcommand, &args)
    }

    #[test]
    fn only_a_digest_alone_is_pinned() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let by_digest = format!("quay.io/a@{digest}");
        let both = format!("quay.io/a:1@{digest}");
        let short = format!("a@{digest}");
        for (args, expected) in [
            (&[by_digest.as_str()][..], true),
            (&[&by_digest, &by_digest], true),
            (&[&by_digest, "quay.io/a:1"], false),
            (&["--all-tags", &by_digest], false),
            (&["--all-tags=false", &by_digest], true),
            (&["quay.io/a:1"], false),
            (&["quay.io/a"], false),
            (&[&both], false),
            (&[&short], false),
            (&["docker://quay.io/a"], false),
        ] {
            let Ok(Operation::Cmd { pinned, .. }) = resolved("pull", args) else { panic!("{args:?}") };
            assert_eq!(pinned, expected, "{args:?}");
        }
    }

    #[test]
    fn what_no_table_lists_is_denied() {
        for (subcommand, args) in [("list", &["--root", "/x"][..]), ("mount", &[]), ("pull", &[])] {
            assert_eq!(resolved(subcommand, args).unwrap_err().code, "not-in-table", "{subcommand}");
        }
    }
}
