//! The host's own validators. They limit what any caller and any plugin can do. Which subcommands exist is decided by the plugins that
//! provide them: there is no list here, so that a host without such a plugin runs no podman at all.

use std::path::Path;

use bootc_image_grammar::{Kind, OwnOperation, SecretFile, Value, own_spellings};
use bootc_image_model::capability::Capability;
use bootc_image_model::configuration::Delegated;
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::policy_input::Name;
use bootc_image_model::reference::{DOCKER, InvalidReference, Reference};
use bootc_image_model::subject::Subject;

use super::Validator;
use crate::canonical::CanonicalOperation;
use crate::ops::cmd::Cmd;
use crate::ops::{Delegated as Needs, ForPlugins, Operation};
use crate::plugin::{Plugins, ProvidedCommand};

fn denial(by: &'static str, code: &str, message: String, hint: &str) -> Denial {
    Denial { denied_by: DeniedBy::Host(by), code: code.to_owned(), message, hint: Some(hint.to_owned()) }
}

/// Limits delegated callers, who became root through sudo, pkexec, doas or setuid: by default they cannot use another system's root,
/// build, load, or approve plugins, since any of these can give full root access to somebody who was granted only this command.
pub(super) struct Delegation(pub(super) Delegated);

impl Validator for Delegation {
    fn name(&self) -> &'static str {
        "delegation"
    }

    fn judges_unresolved(&self) -> bool {
        true
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        if canonical.subject().delegation.is_none() {
            return Ok(());
        }
        sysroot(self.0, canonical.subject(), canonical.sysroot())?;
        let judge = |needs: &Needs| match needs {
            Needs::Plugins => plugins(self.0, canonical.subject()),
            Needs::Builds if !self.0.build => Err(not_delegated("`cmd build`", "delegated-build")),
            Needs::Loads if !self.0.load => Err(not_delegated("`cmd load`", "delegated-load")),
            Needs::Insecure => Err(not_delegated(
                "--tls-verify=false, which could expose root's registry credentials on the network,",
                "delegated-insecure",
            )),
            Needs::Builds | Needs::Loads => Ok(()),
        };
        canonical.operation().delegated().iter().try_for_each(judge)
    }
}

/// Denies `--sysroot` to a delegated caller. Also called before anything below that root is read.
pub(super) fn sysroot(allowed: Delegated, subject: &Subject, sysroot: Option<&str>) -> Result<(), Denial> {
    if subject.delegation.is_some() && sysroot.is_some() && !allowed.sysroot {
        Err(not_delegated("--sysroot", "delegated-sysroot"))
    } else {
        Ok(())
    }
}

/// Denies a delegated caller to approve or revoke plugins. Also called before a plugin is compiled and instantiated for its approval.
pub(super) fn plugins(allowed: Delegated, subject: &Subject) -> Result<(), Denial> {
    if subject.delegation.is_some() && !allowed.plugins {
        Err(not_delegated("approving and revoking plugins", "delegated-plugins"))
    } else {
        Ok(())
    }
}

/// Denies a delegated caller a command that reads a file of the caller's choice: it would be read as root.
pub(super) fn file(subject: &Subject, what: &str) -> Result<(), Denial> {
    match subject.delegation {
        Some(_) => Err(not_delegated(what, "delegated-file")),
        None => Ok(()),
    }
}

/// Denies a delegated caller to ask what another caller may do.
pub(super) fn other_caller(subject: &Subject) -> Result<(), Denial> {
    match subject.delegation {
        Some(_) => Err(not_delegated("`policy explain --as`", "delegated-as")),
        None => Ok(()),
    }
}

fn not_delegated(what: &str, code: &str) -> Denial {
    let message =
        format!("{what} is not allowed for a caller who became root through sudo, pkexec, doas or setuid");
    // Nothing in the configuration permits these.
    let hint = match code.strip_prefix("delegated-") {
        None | Some("as" | "file" | "insecure") => "log in as root".to_owned(),
        Some(word) => format!(
            "log in as root, or let an administrator permit it with allow-delegated = [\"{word}\"] at the top of a file in \
             /etc/bootc-image/config.d"
        ),
    };
    denial("delegation", code, message, &hint)
}

/// A plan must be for the subcommand that the caller ran, and the plugin that planned it must be the only one that provides it.
/// Otherwise one plugin could run commands in the name of another.
pub(super) struct Claims(pub(super) Vec<ProvidedCommand>);

impl Validator for Claims {
    fn name(&self) -> &'static str {
        "claims"
    }

    fn judges_unresolved(&self) -> bool {
        true
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        if let ForPlugins::Provides(operation) = canonical.operation().for_plugins() {
            return self.own_operation(canonical, operation);
        }
        let Operation::Cmd(Cmd { invoked, plugin, command, .. }) = canonical.operation() else {
            return Ok(());
        };
        let planned = command.name();
        let hint = "contact the plugin's vendor: a plugin must plan exactly the subcommand that the user runs, and its manifest must provide it";
        if planned != invoked {
            let message = format!("plugin {plugin} planned `{planned}` for `cmd {invoked}`");
            return Err(denial(self.name(), "other-subcommand", message, hint));
        }
        let mut providers = self.0.iter().filter(|claim| claim.name == planned).map(|claim| &claim.plugin);
        let provided = providers.next() == Some(plugin) && providers.next().is_none();
        if !provided || canonical.subject().plugin.as_ref() != Some(plugin) {
            let message = format!("plugin {plugin} planned `cmd {planned}`, which it does not provide");
            return Err(denial(self.name(), "unclaimed", message, hint));
        }
        Ok(())
    }
}

impl Claims {
    /// A plugin that planned an own operation must provide one of the subcommands that stand for it.
    fn own_operation(&self, canonical: &CanonicalOperation, operation: OwnOperation) -> Result<(), Denial> {
        let Some(plugin) = &canonical.subject().plugin else { return Ok(()) };
        let spellings = own_spellings().filter(|(_, own)| *own == operation);
        let subcommands: Vec<&str> = spellings.map(|(spelling, _)| spelling).collect();
        let provides =
            |name: &&str| self.0.iter().any(|claim| claim.name == *name && claim.plugin == *plugin);
        if subcommands.iter().any(provides) {
            return Ok(());
        }
        let message =
            format!("plugin {plugin} provides none of these subcommands: {}", subcommands.join(", "));
        let hint = "contact the plugin's vendor: its manifest must provide every subcommand that it plans";
        Err(denial(self.name(), "unclaimed", message, hint))
    }
}

/// podman's arguments must be in the table, must not read or write files or use host resources without a capability, and must name
/// images only in registries or by local names (docs/adr/0005-what-podman-is-given.md).
pub(super) struct Grammar<'a>(pub(super) &'a dyn Plugins);

impl Validator for Grammar<'_> {
    fn name(&self) -> &'static str {
        "grammar"
    }

    fn judges_unresolved(&self) -> bool {
        true
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        let Operation::Cmd(Cmd { command, .. }) = canonical.operation() else { return Ok(()) };
        if command.does().own().is_some() {
            let message =
                format!("`cmd {}` is not run by podman here: bootc-image does it itself", command.name());
            let hint = "use: bootc-image remove, or: bootc-image prune";
            return Err(denial(self.name(), "native", message, hint));
        }
        if command.again().as_ref() != Ok(command) {
            let message = "the arguments do not parse back to the command that was judged".to_owned();
            let hint = "write the options in their long form";
            return Err(denial(self.name(), "not-canonical", message, hint));
        }
        let granted = canonical.subject().plugin.as_ref().map(|plugin| self.0.granted(plugin));
        let granted = Granted {
            capabilities: granted.unwrap_or_default(),
            resolved: canonical.is_resolved(),
            plugin: canonical.subject().plugin.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let Some(forbidden) = command.values().find_map(|value| forbidden(&value, &granted)) else {
            return Ok(());
        };
        Err(Denial {
            denied_by: DeniedBy::Host(self.name()),
            code: forbidden.code.to_owned(),
            message: format!("`cmd {}`: {}", command.subcommand(), forbidden.why),
            hint: Some(forbidden.hint),
        })
    }
}

/// Operations that a plugin requests while it plans must be within its granted capabilities. [`Grammar`] checks its plans.
pub(super) struct Capabilities<'a>(pub(super) &'a dyn Plugins);

impl Validator for Capabilities<'_> {
    fn name(&self) -> &'static str {
        "grants"
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        let Some(plugin) = &canonical.subject().plugin else { return Ok(()) };
        let needed = match canonical.operation().for_plugins() {
            ForPlugins::PlansIt | ForPlugins::Provides(_) => return Ok(()),
            ForPlugins::Needs(capability) => capability,
            ForPlugins::Never => {
                let message =
                    format!("plugins are not allowed to request `{}`", canonical.operation().kind());
                return Err(denial(self.name(), "not-for-plugins", message, "run it without a plugin"));
            }
        };
        let kind = canonical.operation().kind();
        let hint = format!("to see the plugin's capabilities, run: bootc-image plugin show {plugin}");
        let granted: Vec<Capability> =
            self.0.granted(plugin).into_iter().filter(|capability| capability.name == needed).collect();
        if granted.is_empty() {
            let message = format!("plugin {plugin} requested `{kind}` without the capability {needed}");
            return Err(denial(self.name(), "not-granted", message, &hint));
        }
        let images = canonical.policy_input().map(|policy_input| policy_input.images).unwrap_or_default();
        let in_scope = |name: &Name| granted.iter().any(|capability| capability.has_name(name));
        let Some(outside) = images.iter().find(|image| !image.name.as_ref().is_some_and(in_scope)) else {
            return Ok(());
        };
        let name = outside.name.as_ref().map_or_else(|| "an image without a name".to_owned(), Name::path);
        let scopes: Vec<&str> = granted.iter().map(|capability| capability.scope.as_str()).collect();
        let message = format!(
            "plugin {plugin} requested `{kind}` of {name}, but its capability {needed} covers only {}",
            scopes.join(", ")
        );
        Err(denial(self.name(), "outside-scope", message, &hint))
    }
}

/// The capabilities of the plugin that planned a command.
struct Granted {
    capabilities: Vec<Capability>,
    /// Whether paths are resolved, so that their scopes can be checked.
    resolved: bool,
    /// The plugin's id for messages.
    plugin: String,
}

impl Granted {
    /// Whether one of the capabilities covers this value.
    fn has(&self, value: &Value<'_>) -> bool {
        let mut of_kind = self
            .capabilities
            .iter()
            .filter(|capability| Some(capability.name.as_str()) == value.kind.capability());
        of_kind.any(|capability| match value.kind {
            // The scope is an option, or an option with its only value.
            Kind::HostResource => match capability.scope.split_once('=') {
                Some((option, only)) => value.option == Some(option) && value.text == only,
                None => value.option == Some(capability.scope.as_str()),
            },
            Kind::SecretFile => SecretFile::parse(value.text)
                .is_ok_and(|secret| !self.resolved || capability.has_path(Path::new(secret.path))),
            _ => !self.resolved || capability.has_path(Path::new(value.text)),
        })
    }
}

struct Forbidden {
    code: &'static str,
    why: String,
    hint: String,
}

/// Why this value is denied, if it is.
fn forbidden(value: &Value<'_>, granted: &Granted) -> Option<Forbidden> {
    let what = match value.option {
        Some(option) => format!("option --{option}"),
        None => format!("{:?}", value.text),
    };
    let needs = |code, why: &str| {
        let capability = value.kind.capability().unwrap_or_default();
        let scopes = granted.capabilities.iter().filter(|granted| granted.name == capability);
        let scopes: Vec<&str> = scopes.map(|granted| granted.scope.as_str()).collect();
        let plugin = &granted.plugin;
        let covered = scopes.join(", ");
        let hint = if scopes.is_empty() {
            format!(
                "plugin {plugin} does not have the capability {capability}, which {what} needs; run the command without it, \
                 grant it (to a built-in plugin, in a file in /etc/bootc-image/grants.d), or approve a plugin that requests \
                 it; to see what {plugin} requests, run: bootc-image plugin show {plugin}"
            )
        } else {
            format!(
                "{what} needs the capability {capability}, but plugin {plugin} has this capability only for: {covered}; \
                 run the command without it"
            )
        };
        (!granted.has(value)).then(|| Forbidden { code, why: format!("{what} {why}"), hint })
    };
    match value.kind {
        Kind::Plain => None,
        Kind::Source => is_remote_source(value.text).then(|| Forbidden {
            code: "not-local",
            why: format!("{what} is a remote source, which podman would download"),
            hint: "download it first and inspect it; write a local directory of that name as ./NAME"
                .to_owned(),
        }),
        Kind::Filter => bad_filter(value.text).map(|(why, hint)| Forbidden {
            code: "filter-not-usable",
            why: format!("{what} {why}"),
            hint,
        }),
        Kind::PathRead => needs("reads-file", "names a file for podman to read"),
        Kind::SecretFile => match SecretFile::parse(value.text) {
            Ok(_) => needs("reads-file", "names a file for podman to read"),
            Err(form) => Some(Forbidden {
                code: "secret",
                why: format!("{what} does not name a file with a secret"),
                hint: form.to_owned(),
            }),
        },
        Kind::PathWrite => needs("writes-file", "names a file for podman to write"),
        Kind::HostResource => {
            needs("reaches-machine", "accesses a host resource (device, namespace or privilege)")
        }
        Kind::Secret => Some(Forbidden {
            code: "secret",
            why: format!("{what} puts a secret on the command line"),
            hint: "put credentials into /etc/ostree/auth.json".to_owned(),
        }),
        Kind::Local if is_id(value.text) => None,
        // Any name that is not local is fetched.
        Kind::Full => unnamed(
            Reference::parse(value.text)
                .and_then(|name| if name.registry() == "localhost" { Ok(name) } else { name.in_registry() }),
        ),
        Kind::Local | Kind::Reference => unnamed(Reference::parse_local(value.text)),
        // Without the transport podman could interpret it as something else.
        Kind::Remote | Kind::Destination => match value.text.strip_prefix(DOCKER) {
            Some(name) => unnamed(Reference::parse(name).and_then(Reference::in_registry)),
            None => unnamed(Err(InvalidReference::Transport(value.text.to_owned()))),
        },
    }
}

/// Conditions whose values do not name images.
const PLAIN_FILTERS: [&str; 12] = [
    "containers",
    "dangling",
    "digest",
    "id",
    "intermediate",
    "is-automated",
    "is-official",
    "label",
    "manifest",
    "readonly",
    "stars",
    "until",
];

/// Why this condition is denied, and what to write instead, if it is. podman resolves the values of some conditions as images of any
/// transport, and so in any storage. It also splits conditions at commas.
fn bad_filter(text: &str) -> Option<(String, String)> {
    if text.contains([',', '"']) {
        return Some((
            format!("contains a comma or a quotation mark: podman could split {text:?} into several conditions"),
            "write one --filter for each condition; values with a comma or a quotation mark are not supported"
                .to_owned(),
        ));
    }
    let Some((key, value)) = text.split_once('=') else {
        return Some((
            format!("has no value: {text:?}"),
            "write it as KEY=VALUE, for example dangling=true".to_owned(),
        ));
    };
    match key.strip_suffix('!').unwrap_or(key) {
        "since" | "after" | "before" if is_id(value) => None,
        "since" | "after" | "before" => {
            let image = "give an image of this storage by its name or id".to_owned();
            Reference::parse_local(value)
                .err()
                .map(|error| (format!("does not name an image of this storage: {error}"), image))
        }
        "reference" if value.contains(':') && Reference::parse_local(&value.replace('*', "x")).is_err() => {
            Some((
                format!("has a value that is not a pattern for image names: {value:?}"),
                "write a name without a transport; * stands for any text, as in reference=localhost/*"
                    .to_owned(),
            ))
        }
        "reference" => None,
        known if PLAIN_FILTERS.contains(&known) => None,
        unknown => Some((
            format!("has an unknown condition: {unknown:?}"),
            format!("known conditions: after, before, reference, since, {}", PLAIN_FILTERS.join(", ")),
        )),
    }
}

/// Whether podman would interpret this as an address.
fn is_remote_source(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/")
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    (1..=64).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn unnamed(reference: Result<Reference, InvalidReference>) -> Option<Forbidden> {
    reference.err().map(|error| Forbidden {
        code: "not-a-registry-reference",
        why: error.to_string(),
        hint: "write the image in full: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST"
            .to_owned(),
    })
}

/// Images that a deployment, a bound image, a unit or a container needs cannot be removed: the host may not start without them
/// (docs/adr/0008-removing-images.md).
pub(super) struct Needed;

impl Validator for Needed {
    fn name(&self) -> &'static str {
        "needs"
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        let Some(image) = canonical.operation().removal() else { return Ok(()) };
        match &image.needed_by {
            Some(who) => {
                let message = format!("{image} is needed by {who}");
                let list = if who.starts_with("container ") {
                    "to list containers, run: podman ps --all --external"
                } else if who.starts_with("unit ") {
                    "name another image in this unit first"
                } else if who.ends_with(" of a build with podman") {
                    "if that build was interrupted, list its container with: podman ps --all --external; and remove it with: podman rm ID"
                } else if who.ends_with(" of a build") {
                    "if it is left from a `bootc-image cmd build` that was killed, the next `bootc-image cmd build` removes its container; otherwise, remove the container with the program that made it"
                } else {
                    "to list deployments, run: bootc status"
                };
                let hint = format!(
                    "it can be removed when no deployment, bound image, unit or container needs it any more; {list}"
                );
                Err(denial(self.name(), "needed", message, &hint))
            }
            None => Ok(()),
        }
    }
}

/// Images must be pinned by digest to be fetched: a tag could move after it was judged.
pub(super) struct Pinning;

impl Validator for Pinning {
    fn name(&self) -> &'static str {
        "pinning"
    }

    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial> {
        let Operation::Cmd(Cmd { command, pinned: false, .. }) = canonical.operation() else { return Ok(()) };
        if !command.has_operand_of(Kind::Remote) {
            return Ok(());
        }
        let names = command.operands().join(" ");
        let message =
            format!("`cmd {} {names}` would fetch tags that are not pinned by digest", command.subcommand());
        Err(denial(self.name(), "not-pinned", message, "name each tag to fetch, without --all-tags"))
    }
}

#[cfg(test)]
mod tests {
    use bootc_image_grammar::parse;

    use super::*;
    use crate::ops::{cmd, list, prune, pull_from_default_storage, revoke_plugin};
    use crate::policy::tests::{FakePlugins, no_plugins};
    use crate::policy::validators;
    use bootc_image_model::columns::ListType;
    use bootc_image_model::configuration::Configuration;
    use bootc_image_model::digest::Digest;
    use bootc_image_model::image::{LocalImage, Removal};
    use bootc_image_model::plugin::PluginId;
    use bootc_image_model::subject::Delegation as DeniedBy;

    fn id(name: &str) -> PluginId {
        PluginId::new(name).unwrap()
    }

    fn caller(delegation: Option<DeniedBy>) -> Subject {
        Subject::new(Some(0), delegation)
    }

    fn claim(plugin: &str, name: &str) -> ProvidedCommand {
        let (name, summary, args) = (name.to_owned(), String::new(), String::new());
        ProvidedCommand { plugin: id(plugin), name, summary, args }
    }

    /// The canonical operation of a plan of plugin `p` for `cmd INVOKED`.
    fn planned(invoked: &str, subcommand: &str, args: &[&str], pinned: bool) -> CanonicalOperation {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let command = parse(subcommand, &args).unwrap();
        let operation = Operation::Cmd(cmd::Cmd {
            invoked: invoked.to_owned(),
            plugin: id("p"),
            command,
            images: Vec::new(),
            pinned,
        });
        CanonicalOperation::new(operation, caller(None).through(&id("p")), None)
    }

    /// Validator and code of the denial; none if all allow.
    fn denied(canonical: CanonicalOperation, claims: &[ProvidedCommand]) -> Option<(String, String)> {
        let judged = validators(&Configuration::default(), claims.to_vec(), &no_plugins()).judge(canonical);
        let denial = judged.denial().map(|denial| (denial.denied_by.to_string(), denial.code.clone()));
        assert_eq!(judged.approve().is_err(), denial.is_some());
        denial
    }

    fn denial_of(by: &str, code: &str) -> Option<(String, String)> {
        Some((by.to_owned(), code.to_owned()))
    }

    #[test]
    fn a_plan_must_be_for_the_subcommand_that_was_run_and_provided_by_its_plugin() {
        let list = || planned("list", "list", &[], true);
        assert_eq!(denied(list(), &[claim("p", "list")]), None);
        assert_eq!(denied(list(), &[]), denial_of("claims", "unclaimed"));
        assert_eq!(denied(list(), &[claim("p", "pull")]), denial_of("claims", "unclaimed"));
        assert_eq!(denied(list(), &[claim("other", "list")]), denial_of("claims", "unclaimed"));
        let twice = [claim("p", "list"), claim("other", "list")];
        assert_eq!(denied(list(), &twice), denial_of("claims", "unclaimed"));
        let other = planned("pull", "list", &[], true);
        let both = [claim("p", "list"), claim("p", "pull")];
        assert_eq!(denied(other, &both), denial_of("claims", "other-subcommand"));
    }

    #[test]
    fn a_plan_without_its_plugin_in_the_subject_is_denied() {
        let command = parse("list", &[]).unwrap();
        let operation = Operation::Cmd(cmd::Cmd {
            invoked: "list".to_owned(),
            plugin: id("p"),
            command,
            images: Vec::new(),
            pinned: true,
        });
        let canonical = CanonicalOperation::new(operation, caller(None), None);
        assert_eq!(denied(canonical, &[claim("p", "list")]), denial_of("claims", "unclaimed"));
    }

    #[test]
    fn options_that_name_files_or_secrets_are_denied() {
        let name = format!("docker://quay.io/a@sha256:{}", "a".repeat(64));
        for (option, code) in
            [("--authfile=/x", "reads-file"), ("--cert-dir=/x", "reads-file"), ("--creds=a:b", "secret")]
        {
            let canonical = planned("pull", "pull", &[option, &name], true);
            assert_eq!(denied(canonical, &[claim("p", "pull")]), denial_of("grammar", code), "{option}");
        }
        let plain = planned("pull", "pull", &["--quiet", "--arch=arm64", &name], true);
        assert_eq!(denied(plain, &[claim("p", "pull")]), None);
    }

    #[test]
    fn conditions_name_only_images_of_this_storage() {
        let judged = |filter: &str| {
            let argument = format!("--filter={filter}");
            denied(planned("list", "list", &[&argument], true), &[claim("p", "list")])
        };
        for filter in [
            "dangling=true",
            "label=a=b",
            "label!=x",
            "since=localhost/a:1",
            "before=app",
            "since=0123456789ab",
            "reference=localhost/*",
            "reference=quay.io/*:1",
            "until=2024-01-01",
        ] {
            assert_eq!(judged(filter), None, "{filter}");
        }
        for filter in [
            "since=containers-storage:[vfs@/x+/y]localhost/x",
            "since!=dir:/x",
            "before=oci:/x",
            "after=docker://quay.io/a",
            "label=a,since=dir:/x",
            "label=\"a\"",
            "reference=containers-storage:[vfs@/x+/y]a",
            "reference=dir:/x",
            "nonsense=1",
            "since",
            "",
        ] {
            assert_eq!(judged(filter), denial_of("grammar", "filter-not-usable"), "{filter}");
        }
    }

    #[test]
    fn operands_name_registries_only() {
        for operand in ["dir:/x", "quay.io/a", "containers-storage:a", "/x", "A", "oci:5000/x", "docker://a"]
        {
            let canonical = planned("pull", "pull", &[operand], true);
            let expected = denial_of("grammar", "not-a-registry-reference");
            assert_eq!(denied(canonical, &[claim("p", "pull")]), expected, "{operand}");
        }
    }

    #[test]
    fn only_pinned_images_are_fetched() {
        let canonical = planned("pull", "pull", &["docker://quay.io/a:1"], false);
        assert_eq!(denied(canonical, &[claim("p", "pull")]), denial_of("pinning", "not-pinned"));
        let build = planned("build", "build", &["/x"], false);
        assert_eq!(denied(build, &[claim("p", "build")]), None);
    }

    #[test]
    fn a_delegated_caller_uses_another_system_only_if_the_configuration_allows_it() {
        let list = |by, sysroot: Option<&str>| {
            let operation = Operation::List(list::List { image_type: ListType::All, details: false });
            CanonicalOperation::new(operation, caller(by), sysroot.map(str::to_owned))
        };
        assert_eq!(denied(list(None, Some("/x")), &[]), None);
        assert_eq!(denied(list(Some(DeniedBy::Sudo), None), &[]), None);
        for by in [DeniedBy::Sudo, DeniedBy::Pkexec, DeniedBy::Doas] {
            assert_eq!(denied(list(Some(by), Some("/x")), &[]), denial_of("delegation", "delegated-sysroot"));
        }
        let allow_delegated = Delegated { sysroot: true, ..Delegated::default() };
        let configuration = Configuration { allow_delegated, ..Configuration::default() };
        let judged = validators(&configuration, Vec::new(), &no_plugins())
            .judge(list(Some(DeniedBy::Sudo), Some("/x")));
        assert!(judged.approve().is_ok());
    }

    #[test]
    fn a_delegated_caller_approves_no_plugin() {
        let revoke = |by| {
            CanonicalOperation::new(
                Operation::RevokePlugin(revoke_plugin::RevokePlugin { plugin: id("p") }),
                caller(by),
                None,
            )
        };
        assert_eq!(denied(revoke(None), &[]), None);
        assert_eq!(denied(revoke(Some(DeniedBy::Sudo)), &[]), denial_of("delegation", "delegated-plugins"));
    }

    #[test]
    fn what_isnt_resolved_is_never_approved() {
        let list = planned("list", "list", &[], true);
        let operation = list.operation().clone();
        let unresolved = CanonicalOperation::unresolved(operation, list.subject().clone(), None);
        let judged =
            validators(&Configuration::default(), vec![claim("p", "list")], &no_plugins()).judge(unresolved);
        assert!(judged.denial().is_none());
        let denial = judged.approve().unwrap_err();
        assert_eq!(denial.code, "nobody-judged");
        assert_eq!(denial.message, "not every validator has judged the operation");
    }

    /// What plugins cannot make the host do, in spite of the checks before these.
    #[test]
    fn denials_of_plugins_say_what_they_did() {
        let through = |operation| CanonicalOperation::new(operation, caller(None).through(&id("p")), None);
        let list = || Operation::List(list::List { image_type: ListType::All, details: false });
        let revoke = Operation::RevokePlugin(revoke_plugin::RevokePlugin { plugin: id("p") });
        let image = LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"") };
        let removal = Removal {
            id: "a".repeat(64),
            manifest_digest: None,
            names: Vec::new(),
            whole: true,
            needed_by: None,
        };
        let prune = Operation::Prune(prune::Prune { all: false, image: removal });
        let name = Reference::parse("quay.io/x/y:1").unwrap();
        let pull = Operation::PullFromDefaultStorage(pull_from_default_storage::PullFromDefaultStorage {
            source: image,
            name,
        });
        let mine = Capability { name: "pulls-images".to_owned(), scope: "localhost/mine".to_owned() };
        let plugins = FakePlugins { granted: vec![mine], ..no_plugins() };
        let vendor = "contact the plugin's vendor: ";
        for (canonical, claims, message, hint) in [
            (
                planned("list", "list", &[], true),
                vec![],
                "plugin p planned `cmd list`, which it does not provide",
                format!(
                    "{vendor}a plugin must plan exactly the subcommand that the user runs, and its manifest must provide it"
                ),
            ),
            (
                through(prune),
                vec![],
                "plugin p provides none of these subcommands: prune",
                format!("{vendor}its manifest must provide every subcommand that it plans"),
            ),
            (
                planned("rm", "rm", &["a"], true),
                vec![claim("p", "rm")],
                "`cmd rm` is not run by podman here: bootc-image does it itself",
                "use: bootc-image remove, or: bootc-image prune".to_owned(),
            ),
            (
                through(list()),
                vec![],
                "plugin p requested `list` without the capability lists-images",
                "to see the plugin's capabilities, run: bootc-image plugin show p".to_owned(),
            ),
            (
                through(pull),
                vec![],
                "plugin p requested `pull-from-default-storage` of quay.io/x/y, but its capability pulls-images covers only localhost/mine",
                "to see the plugin's capabilities, run: bootc-image plugin show p".to_owned(),
            ),
            (
                through(revoke),
                vec![],
                "plugins are not allowed to request `revoke-plugin`",
                "run it without a plugin".to_owned(),
            ),
        ] {
            let judged = validators(&Configuration::default(), claims, &plugins).judge(canonical);
            let denial = judged.denial().unwrap();
            assert_eq!((denial.message.as_str(), denial.hint.as_deref()), (message, Some(hint.as_str())));
        }
    }
}
