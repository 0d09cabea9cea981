use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::RawFd;

use bootc_image_core::error::Error;
use bootc_image_core::ops::{Request, cmd};
use bootc_image_core::plugin::{Plugins, ProvidedCommand};
use bootc_image_engine::sanitize;
use bootc_image_grammar::{Arity, Flag, Kind, Purpose, Table, table};
use bootc_image_model::capability::Capability;
use bootc_image_model::plugin::PluginId;
use clap::Args;

use crate::exit::Failure;
use crate::help::fitted;

const EXAMPLES: &str = "\
Examples:
  # Pull an image into bootc's storage
  bootc-image cmd pull quay.io/example/app:1
  # Build an image in bootc's storage from the Containerfile in this directory
  bootc-image cmd build --tag localhost/app:1 .
  # Show the options of a subcommand
  bootc-image cmd build --help";

/// Run a podman image subcommand on bootc's storage
///
/// Enabled plugins provide the subcommands; `bootc-image cmd --help` lists them. Every option is checked before podman runs, and
/// podman works on bootc's storage only. podman's exit code is passed on. If you became root through sudo, pkexec, doas or a setuid
/// program, `build` and `load` are denied by default.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_long_help = EXAMPLES)]
pub(crate) struct Cmd {
    /// Write the result as JSON to the open file descriptor N, for example {"origin":"host","code":77}; the origin is "podman" if
    /// the exit code is podman's own, and "host" if it is that of bootc-image
    #[arg(long, value_name = "N", value_parser = descriptor)]
    pub(super) status_fd: Option<RawFd>,
    /// Run this subcommand with these arguments
    #[arg(value_name = "SUBCOMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

fn descriptor(text: &str) -> Result<RawFd, &'static str> {
    text.parse().map_err(|_| "it must be the number of an open file descriptor, 3 or more")
}

impl Cmd {
    /// The help text, if the user asked for it. Loads no plugin: manifests and the grammar's tables have everything it shows.
    pub(super) fn help(&self, plugins: &dyn Plugins) -> Result<Option<String>, Failure> {
        let words: Vec<_> = self.words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
        let provided = || plugins.provided_commands().map_err(Error::from);
        let name = match words.as_slice() {
            [] | ["--help" | "-h" | "help"] | ["help", "help" | "--help" | "-h"] => {
                return Ok(Some(fitted(&overview(&provided()?))));
            }
            ["help", name, ..] => *name,
            [name, rest @ ..] if asks_for_help(rest) => *name,
            _ => return Ok(None),
        };
        let claims = provided()?;
        let claim = claims.iter().find(|claim| claim.name == name).ok_or_else(|| Failure::Subcommand {
            name: sanitize::sanitize(name),
            disabled: plugins.disabled_reason(name),
        })?;
        let usage = |claim: &ProvidedCommand| match table(&claim.name) {
            Some(table) => usage(claim, table, &plugins.granted(&claim.plugin)),
            None => {
                let ProvidedCommand { plugin, name, summary, args } = claim;
                let args = if args.is_empty() { "[ARGS]..." } else { args.as_str() };
                format!("{summary}\n\nUsage: bootc-image cmd {name} {args}\n\nProvided by plugin {plugin}.\n")
            }
        };
        Ok(Some(fitted(&usage(claim))))
    }

    pub(super) fn into_request(self) -> Result<Request, Failure> {
        let mut words = Vec::with_capacity(self.words.len());
        for word in self.words {
            words.push(word.into_string().map_err(Failure::NotUtf8)?);
        }
        let args = words.split_off(1.min(words.len()));
        Ok(Request::Cmd(cmd::Request { name: words.pop().unwrap_or_default(), args }))
    }
}

/// Only words before `--` count, as in podman.
fn asks_for_help(words: &[&str]) -> bool {
    words.iter().take_while(|&&word| word != "--").any(|&word| matches!(word, "--help" | "-h"))
}

fn overview(claims: &[ProvidedCommand]) -> String {
    let mut text = "Run a podman image subcommand on bootc's storage\n\n\
                    If you became root through sudo, pkexec, doas or a setuid program, `build` and `load` are denied by \
                    default: run them from a root login.\n\n\
                    Usage: bootc-image [GLOBAL OPTIONS] cmd [--status-fd N] SUBCOMMAND [ARGS]...\n\n\
                    Options:\n  \
                    --status-fd N  Write the result as JSON to the open file descriptor N, for example \
                    {\"origin\":\"host\",\"code\":77}; the origin is \"podman\" if the exit code is podman's own, \
                    and \"host\" if it is that of bootc-image\n\n\
                    Subcommands of enabled plugins:\n"
        .to_owned();
    let spelled: Vec<String> = claims.iter().map(spelled).collect();
    let lines = claims.iter().zip(&spelled).map(|(claim, name)| (&claim.plugin, &**name, &*claim.summary));
    text.push_str(&offered(lines));
    let _ = writeln!(text, "\n{EXAMPLES}");
    text
}

/// A subcommand with its arguments, as its plugin's manifest shows them.
fn spelled(claim: &ProvidedCommand) -> String {
    let ProvidedCommand { name, args, .. } = claim;
    if args.is_empty() { name.clone() } else { format!("{name} {args}") }
}

/// The longest name beside which its summary fits. The summary of a longer one is on a line of its own.
const WIDEST_NAME: usize = 32;

/// What plugins provide: name, summary and plugin.
pub(super) fn offered<'a>(claims: impl Iterator<Item = (&'a PluginId, &'a str, &'a str)> + Clone) -> String {
    let lengths = claims.clone().map(|(_, name, _)| name.len()).filter(|&length| length <= WIDEST_NAME);
    let width = lengths.max().unwrap_or(0);
    let line = |(plugin, name, summary): (&PluginId, &str, &str)| {
        let (first, rest) =
            if name.len() > width { (format!("  {name}\n"), "") } else { (String::new(), name) };
        format!("{first}  {rest:width$}  {summary} [{plugin}]\n")
    };
    let text: String = claims.map(line).collect();
    if text.is_empty() { "  none\n".to_owned() } else { text }
}

/// Whether a plugin with these capabilities may pass this option to podman.
pub(super) fn is_usable(flag: &Flag, granted: &[Capability]) -> bool {
    let covers = |scope: &str| flag.kind != Kind::HostResource || scope.split('=').next() == Some(flag.name);
    let has =
        |needed| granted.iter().any(|capability| capability.name == needed && covers(&capability.scope));
    !is_always_denied(flag) && flag.kind.capability().is_none_or(has)
}

/// Whether no capability allows this option: it has a secret, or it fetches images that are not named.
fn is_always_denied(flag: &Flag) -> bool {
    flag.kind == Kind::Secret || flag.purpose == Purpose::EveryTag
}

fn usage(claim: &ProvidedCommand, table: &Table, granted: &[Capability]) -> String {
    let args = if claim.args.is_empty() { format!("[OPTIONS] {table}") } else { claim.args.clone() };
    let mut text = format!("{}\n\nUsage: bootc-image cmd {} {args}\n", claim.summary, claim.name);
    let shown = table.flags.iter().filter(|flag| !flag.help.is_empty());
    let (usable, others): (Vec<&Flag>, Vec<&Flag>) = shown.partition(|flag| is_usable(flag, granted));
    let (denied, ungranted): (Vec<&Flag>, Vec<&Flag>) =
        others.into_iter().partition(|flag| is_always_denied(flag));
    if !usable.is_empty() {
        text.push_str("\nOptions:\n");
    }
    described(&usable, &mut text);
    if !ungranted.is_empty() {
        let _ = writeln!(
            text,
            "\nOptions that are not available, because plugin {} has not been granted the capability:",
            claim.plugin
        );
    }
    for kind in [Kind::PathRead, Kind::PathWrite, Kind::HostResource] {
        let flags = ungranted.iter().filter(|flag| flag.kind.capability() == kind.capability());
        let names: Vec<String> = flags.map(|flag| format!("--{}", flag.name)).collect();
        let about = match kind {
            Kind::PathRead => "files that podman reads",
            Kind::PathWrite => "files that podman writes",
            _ => "devices, namespaces, privileges and keys of the host",
        };
        if let Some(capability) = kind.capability().filter(|_| !names.is_empty()) {
            let _ = writeln!(text, "  {capability} ({about})\n      {}", names.join(" "));
        }
    }
    if !denied.is_empty() {
        text.push_str("\nOptions that are always denied:\n");
    }
    described(&denied, &mut text);
    let _ = writeln!(text, "\nProvided by plugin {}.", claim.plugin);
    if let Some(examples) = examples(&claim.name) {
        let _ = write!(text, "\nExamples:\n{examples}");
    }
    text
}

/// Adds one line for each option: its spelling and its help.
fn described(flags: &[&Flag], text: &mut String) {
    let width = flags.iter().map(|flag| spelling(flag).len()).max().unwrap_or(0);
    for flag in flags {
        let _ = writeln!(text, "  {:width$}  {}", spelling(flag), flag.help);
    }
}

/// Examples for the subcommands of the shipped plugins.
fn examples(subcommand: &str) -> Option<&'static str> {
    Some(match subcommand {
        "build" => {
            "  # Build an image from the Containerfile in this directory\n  \
             bootc-image cmd build --tag localhost/app:1 .\n"
        }
        "exists" => {
            "  # Check whether an image exists\n  \
             bootc-image cmd exists localhost/app:1 && echo yes\n"
        }
        "history" => {
            "  # Show the layers of an image and the commands that created them\n  \
             bootc-image cmd history localhost/app:1\n"
        }
        "inspect" => {
            "  # Show the configuration of an image as JSON\n  \
             bootc-image cmd inspect localhost/app:1\n"
        }
        "list" => {
            "  # List all images\n  \
             bootc-image cmd list\n  \
             # List only the IDs of images without a name\n  \
             bootc-image cmd list --quiet --filter dangling=true\n"
        }
        "load" => {
            "  # Load an image from an archive in the current directory\n  \
             bootc-image cmd load <app.tar\n"
        }
        "prune" => {
            "  # Show which images would be removed\n  \
             bootc-image --dry-run cmd prune --all\n"
        }
        "pull" => {
            "  # Pull an image by tag\n  \
             bootc-image cmd pull quay.io/example/app:1\n  \
             # Show who allows or denies the pull, without running it\n  \
             bootc-image policy explain cmd pull quay.io/example/app:1\n"
        }
        "push" => {
            "  # Push an image under another name\n  \
             bootc-image cmd push localhost/app:1 registry.example.com/app:1\n"
        }
        "rm" => "  # Remove an image by name\n  bootc-image cmd rm localhost/app:1\n",
        "rmi" => "  # Remove an image by name\n  bootc-image cmd rmi localhost/app:1\n",
        "save" => {
            "  # Write an image to an archive in the current directory\n  \
             bootc-image cmd save localhost/app:1 >app.tar\n"
        }
        "tag" => {
            "  # Add a name to an image\n  \
             bootc-image cmd tag localhost/app:1 localhost/app:stable\n"
        }
        "tree" => {
            "  # Show the layers of an image\n  \
             bootc-image cmd tree localhost/app:1\n"
        }
        "untag" => {
            "  # Remove one name from an image\n  \
             bootc-image cmd untag localhost/app:1 localhost/app:stable\n"
        }
        _ => return None,
    })
}

fn spelling(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let value = match flag.arity {
        Arity::Switch => "",
        Arity::Optional => "[=VALUE]",
        Arity::One | Arity::Many => " VALUE",
    };
    format!("{short}--{}{value}", flag.name)
}
