//! The host's own validators. They bound what any caller and any plugin can reach; whether a subcommand is allowed at all
//! is a plugin's claim, never a list here (D3.12).

use bootc_image_grammar::{Command, Kind, SetFlag, parse, table};

use super::Validator;
use crate::error::Denial;
use crate::frozen::Frozen;
use crate::operation::Operation;
use crate::plugin::CommandClaim;
use crate::reference::Reference;

fn denial(by: &str, code: &str, message: String, hint: &str) -> Denial {
    Denial { by: by.to_owned(), code: code.to_owned(), message, hint: Some(hint.to_owned()) }
}

/// A caller who is root on another's behalf stays on the booted system (D0.3).
pub(super) struct Delegation {
    pub(super) sysroot: bool,
}

impl Validator for Delegation {
    fn name(&self) -> &str {
        "delegation"
    }

    fn judge(&self, frozen: &Frozen) -> Result<(), Denial> {
        if frozen.subject().delegation.is_some() && frozen.sysroot().is_some() && !self.sysroot {
            let message =
                "--sysroot isn't allowed for a caller who is root through sudo, pkexec or doas".to_owned();
            return Err(denial(
                self.name(),
                "delegated-sysroot",
                message,
                "run it from a shell of root's own",
            ));
        }
        Ok(())
    }
}

/// A plan runs only as the subcommand that was invoked, and only if the plugin whose plan it is owns that (D3.2).
pub(super) struct Claims(pub(super) Vec<CommandClaim>);

impl Validator for Claims {
    fn name(&self) -> &str {
        "claims"
    }

    fn judge(&self, frozen: &Frozen) -> Result<(), Denial> {
        let Operation::Cmd { invoked, plugin, command, .. } = frozen.operation() else { return Ok(()) };
        let planned = command.subcommand();
        let hint = "the plugin must plan what it was asked for, and its manifest must claim it";
        if planned != invoked {
            let message = format!("plugin {plugin} was asked for `cmd {invoked}` and planned `{planned}`");
            return Err(denial(self.name(), "other-subcommand", message, hint));
        }
        let mut owners = self.0.iter().filter(|claim| claim.name == planned).map(|claim| &claim.plugin);
        let owned = owners.next() == Some(plugin) && owners.next().is_none();
        if !owned || frozen.subject().plugin.as_ref() != Some(plugin) {
            let message = format!("`cmd {planned}` isn't owned by plugin {plugin}");
            return Err(denial(self.name(), "unclaimed", message, hint));
        }
        Ok(())
    }
}

/// What podman gets is in the table, reads and writes no file of the caller's choice, and names registries only (D3.9,
/// D3.10).
pub(super) struct Grammar;

impl Validator for Grammar {
    fn name(&self) -> &str {
        "grammar"
    }

    fn judge(&self, frozen: &Frozen) -> Result<(), Denial> {
        let Operation::Cmd { command, .. } = frozen.operation() else { return Ok(()) };
        self.reparse(command)?;
        command.flags().iter().try_for_each(|flag| self.flag(command, flag))?;
        command.operands().iter().try_for_each(|operand| self.operand(command, operand))
    }
}

impl Grammar {
    /// The printed form must mean the operation that is judged.
    fn reparse(&self, command: &Command) -> Result<(), Denial> {
        let argv = command.argv();
        let again = argv.split_first().map(|(subcommand, args)| parse(subcommand, args));
        if again != Some(Ok(command.clone())) {
            let message = "the arguments don't parse back to what was judged".to_owned();
            return Err(denial(
                self.name(),
                "not-canonical",
                message,
                "write the options in their long form",
            ));
        }
        Ok(())
    }

    fn flag(&self, command: &Command, flag: &SetFlag) -> Result<(), Denial> {
        let kind = table(command.subcommand()).and_then(|table| table.long(&flag.name)).map(|flag| flag.kind);
        let (code, why) = match kind {
            Some(Kind::Plain | Kind::Reference) => return Ok(()),
            Some(Kind::PathRead) => ("reads-file", "names a file for podman to read"),
            Some(Kind::PathWrite) => ("writes-file", "names a file for podman to write"),
            Some(Kind::Secret) => ("secret", "puts a secret on the command line"),
            None => ("unknown-option", "isn't in the table"),
        };
        let message = format!("option --{} of `cmd {}` {why}", flag.name, command.subcommand());
        let hint = match kind {
            Some(Kind::Secret | Kind::PathRead) => "put credentials into /etc/ostree/auth.json",
            _ => "leave it out: no plugin has been granted it",
        };
        Err(denial(self.name(), code, message, hint))
    }

    fn operand(&self, command: &Command, operand: &str) -> Result<(), Denial> {
        let kind = table(command.subcommand()).map(|table| table.operands.kind);
        match (kind, Reference::parse_local(operand)) {
            (Some(Kind::Plain), _) | (Some(Kind::Reference), Ok(_)) => Ok(()),
            (_, Err(error)) => {
                let message = format!("`cmd {}`: {error}", command.subcommand());
                let hint = "name an image in a registry: REGISTRY/REPOSITORY@sha256:DIGEST";
                Err(denial(self.name(), "not-a-registry-reference", message, hint))
            }
            (_, Ok(_)) => {
                let message = format!("{operand:?} names a file for podman");
                Err(denial(self.name(), "names-file", message, "leave it out: no plugin has been granted it"))
            }
        }
    }
}

/// Only what is pinned is fetched (D3.3).
pub(super) struct Pinning;

impl Validator for Pinning {
    fn name(&self) -> &str {
        "pinning"
    }

    fn judge(&self, frozen: &Frozen) -> Result<(), Denial> {
        let Operation::Cmd { command, pinned: false, .. } = frozen.operation() else { return Ok(()) };
        let names = command.operands().join(" ");
        let message = format!("`cmd {} {names}` doesn't say by digest what is fetched", command.subcommand());
        let hint = "find the digest with: skopeo inspect --format '{{.Digest}}' docker://NAME; \
                    then name REGISTRY/REPOSITORY@DIGEST";
        Err(denial(self.name(), "not-pinned", message, hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::ListType;
    use crate::plugin::PluginId;
    use crate::policy::{Configuration, validators};
    use crate::subject::{Delegation as By, Subject};

    fn id(name: &str) -> PluginId {
        PluginId::new(name).unwrap()
    }

    fn caller(delegation: Option<By>) -> Subject {
        Subject { uid: Some(0), delegation, plugin: None }
    }

    fn claim(plugin: &str, name: &str) -> CommandClaim {
        CommandClaim { plugin: id(plugin), name: name.to_owned(), summary: String::new() }
    }

    /// What plugin `p` planned for `cmd INVOKED`, as the pipeline would freeze it.
    fn planned(invoked: &str, subcommand: &str, args: &[&str], pinned: bool) -> Frozen {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let command = parse(subcommand, &args).unwrap();
        let operation = Operation::Cmd { invoked: invoked.to_owned(), plugin: id("p"), command, pinned };
        Frozen::new(operation, caller(None).through(&id("p")), None)
    }

    /// Who denied, and why; none if all allowed.
    fn denied(frozen: Frozen, claims: &[CommandClaim]) -> Option<(String, String)> {
        let judged = validators(&Configuration::default(), claims.to_vec()).judge(frozen);
        let denial = judged.denial().map(|denial| (denial.by.clone(), denial.code.clone()));
        assert_eq!(judged.approve().is_err(), denial.is_some());
        denial
    }

    fn said(by: &str, code: &str) -> Option<(String, String)> {
        Some((by.to_owned(), code.to_owned()))
    }

    #[test]
    fn a_plan_must_be_for_what_was_invoked_and_owned_by_its_plugin() {
        let list = || planned("list", "list", &[], true);
        assert_eq!(denied(list(), &[claim("p", "list")]), None);
        assert_eq!(denied(list(), &[]), said("claims", "unclaimed"));
        assert_eq!(denied(list(), &[claim("p", "pull")]), said("claims", "unclaimed"));
        assert_eq!(denied(list(), &[claim("other", "list")]), said("claims", "unclaimed"));
        let twice = [claim("p", "list"), claim("other", "list")];
        assert_eq!(denied(list(), &twice), said("claims", "unclaimed"));
        let other = planned("pull", "list", &[], true);
        let both = [claim("p", "list"), claim("p", "pull")];
        assert_eq!(denied(other, &both), said("claims", "other-subcommand"));
    }

    #[test]
    fn a_plan_without_its_plugin_as_subject_is_refused() {
        let command = parse("list", &[]).unwrap();
        let operation = Operation::Cmd { invoked: "list".to_owned(), plugin: id("p"), command, pinned: true };
        let frozen = Frozen::new(operation, caller(None), None);
        assert_eq!(denied(frozen, &[claim("p", "list")]), said("claims", "unclaimed"));
    }

    #[test]
    fn options_that_name_files_or_secrets_are_refused() {
        let name = format!("quay.io/a@sha256:{}", "a".repeat(64));
        for (option, code) in
            [("--authfile=/x", "reads-file"), ("--cert-dir=/x", "reads-file"), ("--creds=a:b", "secret")]
        {
            let frozen = planned("pull", "pull", &[option, &name], true);
            assert_eq!(denied(frozen, &[claim("p", "pull")]), said("grammar", code), "{option}");
        }
        let plain = planned("pull", "pull", &["--quiet", "--arch=arm64", &name], true);
        assert_eq!(denied(plain, &[claim("p", "pull")]), None);
    }

    #[test]
    fn operands_name_registries_only() {
        for operand in ["dir:/x", "docker://quay.io/a", "containers-storage:a", "/x", "A", "oci-archive:x"] {
            let frozen = planned("pull", "pull", &[operand], true);
            let expected = said("grammar", "not-a-registry-reference");
            assert_eq!(denied(frozen, &[claim("p", "pull")]), expected, "{operand}");
        }
    }

    #[test]
    fn what_isnt_pinned_isnt_fetched() {
        let frozen = planned("pull", "pull", &["quay.io/a:1"], false);
        assert_eq!(denied(frozen, &[claim("p", "pull")]), said("pinning", "not-pinned"));
    }

    #[test]
    fn a_delegated_caller_needs_the_configurations_word_for_another_system() {
        let list = |by, sysroot: Option<&str>| {
            let operation = Operation::List { image_type: ListType::All };
            Frozen::new(operation, caller(by), sysroot.map(str::to_owned))
        };
        assert_eq!(denied(list(None, Some("/x")), &[]), None);
        assert_eq!(denied(list(Some(By::Sudo), None), &[]), None);
        for by in [By::Sudo, By::Pkexec, By::Doas] {
            assert_eq!(denied(list(Some(by), Some("/x")), &[]), said("delegation", "delegated-sysroot"));
        }
        let configuration = Configuration { allow_delegated_sysroot: true };
        let judged = validators(&configuration, Vec::new()).judge(list(Some(By::Sudo), Some("/x")));
        assert!(judged.approve().is_ok());
    }
}
