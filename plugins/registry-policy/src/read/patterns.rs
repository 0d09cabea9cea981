//! Patterns that nothing can match, or that match more than was meant: a rule with one of them would never apply, or apply to
//! strangers.

use crate::globs::{Glob, without_lists};
use crate::registries::{self, HUB};
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

/// What is wrong with a rule as a whole: the key, with its place in the list.
pub(super) fn check_rule(rule: &Rule<'_>, effect: Option<Effect>) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    // To deny more than was meant does no harm.
    if effect != Some(Effect::Deny) {
        for (index, glob) in rule.registry.iter().enumerate().filter(|(_, glob)| registries::is_open(glob)) {
            let text = glob.as_str();
            let example = registries::stranger(glob);
            let example = example.map(|name| format!(", such as {name}")).unwrap_or_default();
            let what = format!(
                "{text:?} also matches registries of strangers{example}: write the name in full, or as in *.example.com"
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
    } else if !without_lists(text, |_| 'a').split('/').all(could_be_part) {
        Some("a repository has lower-case letters and digits, with '.', '_', '-' or '/' between them")
    } else {
        None
    }
}

/// Whether a part of a repository can be like this one.
fn could_be_part(part: &str) -> bool {
    let ends = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric() || "*?".contains(c));
    let mut inner = part.chars();
    ends(part.chars().next())
        && ends(part.chars().next_back())
        && inner.all(|c| c.is_ascii_alphanumeric() || "*?._-".contains(c))
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
