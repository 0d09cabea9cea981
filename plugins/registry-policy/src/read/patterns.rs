//! Patterns that nothing can match, or that match more than was meant: a rule with one of them would never apply, or apply to
//! strangers.

use crate::globs::Glob;
use crate::settings::{Effect, Rule};
use crate::words::suggest;

/// What `when` in `plugin.toml` lets through, beside `cmd *`.
pub(super) const OPERATIONS: &[&str] =
    &["copy-to-storage", "pull-from-default-storage", "set-unified", "repair"];

/// The subcommands of podman that the host knows, but for those in [`SPELLINGS`].
pub(super) const SUBCOMMANDS: &[&str] = &[
    "build",
    "diff",
    "exists",
    "history",
    "inspect",
    "list",
    "load",
    "pull",
    "push",
    "save",
    "search",
    "sign",
    "tag",
    "tree",
    "trust show",
    "untag",
];

/// What is spelled like a subcommand of podman, and is an operation of the host's own.
pub(super) const SPELLINGS: &[(&str, &str)] =
    &[("cmd prune", "prune"), ("cmd rm", "remove"), ("cmd rmi", "remove")];

/// The registry that has several names, and what it is called here.
const HUB: &str = "docker.io";
const OTHER_NAMES_OF_HUB: &[&str] = &["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Whether some operation is called so.
pub(super) fn check_operation(glob: &Glob<'_>) -> Result<(), String> {
    let commands: Vec<String> = SUBCOMMANDS.iter().map(|name| format!("cmd {name}")).collect();
    let known = || OPERATIONS.iter().copied().chain(commands.iter().map(String::as_str));
    if known().any(|name| glob.matches(name)) {
        return Ok(());
    }
    let text = glob.as_str();
    if let Some((spelled, judged)) = SPELLINGS.iter().find(|(spelled, _)| glob.matches(spelled)) {
        return Err(format!("{spelled:?} is judged as {judged:?}, which this policy isn't asked about"));
    }
    let suggested = if text.starts_with("cmd ") {
        suggest(text, known())
    } else {
        suggest(text, OPERATIONS.iter().copied().chain(["cmd SUBCOMMAND"]))
    };
    Err(format!("{text:?} is no operation that is judged{suggested}"))
}

/// Whether some registry is called so; `text` is in lower case.
pub(super) fn check_registry(text: &str) -> Result<(), String> {
    if text.contains('/') {
        return Err(format!(
            "{text:?} can't match: a registry is HOST or HOST:PORT, and what follows is `repository`"
        ));
    }
    let host = text.strip_suffix(":443").unwrap_or(text);
    if host != text {
        return Err(format!(
            "{text:?} can't match: the port 443, which every registry has, isn't compared; write {host:?}"
        ));
    }
    if OTHER_NAMES_OF_HUB.contains(&text) {
        return Err(format!("{text:?} can't match: this registry is compared as {HUB:?}"));
    }
    let is_possible = |c: char| c.is_ascii_alphanumeric() || "-.:*?[]!".contains(c);
    if !text.is_empty() && !text.chars().all(is_possible) {
        return Err(format!("{text:?} can't match: no registry has such a name"));
    }
    Ok(())
}

/// What is wrong with a rule as a whole: the key, with its place in the list.
pub(super) fn check_rule(rule: &Rule<'_>, effect: Option<Effect>) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    // To deny more than was meant does no harm.
    if effect != Some(Effect::Deny) {
        for (index, glob) in rule.registry.iter().enumerate().filter(|(_, glob)| ends_openly(glob)) {
            let text = glob.as_str();
            let example = text.replace(['*', '?'], ".example.net");
            let what = format!(
                "{text:?} also matches registries of strangers, such as {example}: write the end of the name in full"
            );
            wrong.push((format!("registry[{index}]"), what));
        }
    }
    // Other transports have names of other forms.
    if !rule.registry.is_empty() {
        let is_hub = rule.registry.iter().all(|glob| glob.plain() == Some(HUB));
        for (index, glob) in rule.repository.iter().enumerate() {
            if let Some(why) = not_a_repository(glob.as_str(), is_hub) {
                wrong.push((
                    format!("repository[{index}]"),
                    format!("{:?} can't match: {why}", glob.as_str()),
                ));
            }
        }
    }
    wrong
}

/// Whether the owner of another registry could choose a name for it that is like this one.
fn ends_openly(glob: &Glob<'_>) -> bool {
    let host = glob.as_str().split(':').next().unwrap_or_default();
    let last = host.rsplit('.').next().unwrap_or(host);
    glob.plain().is_none()
        && last.contains(['*', '?'])
        && host.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Why no repository of a registry can be called so, if none can.
fn not_a_repository(text: &str, is_hub: bool) -> Option<&'static str> {
    if text.contains([':', '@']) {
        Some("tag and digest have keys of their own")
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("repositories are in lower case")
    } else if text.starts_with('/') || text.ends_with('/') || text.contains("//") {
        Some("a repository is a path without slashes at its ends")
    } else if is_hub && !text.contains(['/', '[']) && text != "**" {
        Some("an image of Docker Hub without a namespace is in library/")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_of_the_host_is_known() {
        let tables = bootc_image_grammar::TABLES.iter().map(|table| format!("cmd {}", table.subcommand));
        let judged: Vec<String> =
            tables.filter(|name| SPELLINGS.iter().all(|(spelled, _)| spelled != name)).collect();
        let known: Vec<String> = SUBCOMMANDS.iter().map(|name| format!("cmd {name}")).collect();
        assert_eq!(known, judged);
    }
}
