//! Checks for patterns that match nothing, or registries of other owners: a rule with such a pattern never applies, or applies to
//! more than was intended.

use crate::globs::{Glob, without_lists};
use crate::registries::{self, HUB};
use crate::settings::{Effect, Rule};
use crate::suggest::suggest;

/// The operations in `when` in `plugin.toml`, except `cmd *`.
pub(super) const OPERATIONS: &[&str] =
    &["copy-to-storage", "pull-from-default-storage", "set-unified", "repair"];

/// The podman subcommands that the host supports, except those in [`SPELLINGS`].
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

/// Subcommands of `cmd` that the host treats as operations of its own.
pub(super) const SPELLINGS: &[(&str, &str)] =
    &[("cmd prune", "prune"), ("cmd rm", "remove"), ("cmd rmi", "remove")];

/// Checks that the pattern matches an operation that this policy judges.
pub(super) fn check_operation(glob: &Glob<'_>) -> Result<(), String> {
    let commands: Vec<String> = SUBCOMMANDS.iter().map(|name| format!("cmd {name}")).collect();
    let known = || OPERATIONS.iter().copied().chain(commands.iter().map(String::as_str));
    if known().any(|name| glob.matches(name)) {
        return Ok(());
    }
    let text = glob.as_str();
    if let Some((spelled, judged)) = SPELLINGS.iter().find(|(spelled, _)| glob.matches(spelled)) {
        return Err(format!("{spelled:?} is judged as {judged:?}, which this policy does not judge"));
    }
    let suggested = if text.starts_with("cmd ") {
        suggest(text, known())
    } else {
        suggest(text, OPERATIONS.iter().copied().chain(["cmd SUBCOMMAND"]))
    };
    Err(format!("{text:?} is not an operation that this policy judges{suggested}"))
}

/// The problems with a rule as a whole: the key with the index in its list, and the message.
pub(super) fn check_rule(rule: &Rule<'_>, effect: Option<Effect>) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    // A rule that denies more than intended opens nothing.
    if effect != Some(Effect::Deny) {
        for (index, glob) in rule.registry.iter().enumerate().filter(|(_, glob)| registries::is_open(glob)) {
            let text = glob.as_str();
            let example = registries::stranger(glob);
            let example = example.map(|name| format!(", such as {name}")).unwrap_or_default();
            let what = format!(
                "{text:?} also matches registries of other owners{example}: write the full name, or use wildcards as in *.example.com"
            );
            wrong.push((format!("registry[{index}]"), what));
        }
    }
    // Without a registry, the rule may be about other transports, whose names have other forms.
    if !rule.registry.is_empty() {
        let is_hub = rule.registry.iter().all(|glob| glob.plain() == Some(HUB));
        for (index, glob) in rule.repository.iter().enumerate() {
            if let Some(why) = not_a_repository(glob.as_str(), is_hub) {
                wrong.push((
                    format!("repository[{index}]"),
                    format!("{:?} cannot match: {why}", glob.as_str()),
                ));
            }
        }
    }
    wrong
}

/// Why no repository of a registry can match, or none if one can.
fn not_a_repository(text: &str, is_hub: bool) -> Option<&'static str> {
    if text.contains([':', '@']) {
        Some("a tag or digest belongs into the key `tag` or `digest`")
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("repositories are written in lower case")
    } else if text.starts_with('/') || text.ends_with('/') || text.contains("//") {
        Some("a repository has no slash at its start or end, and no empty parts")
    } else if is_hub && !text.contains(['/', '[']) && text != "**" {
        Some("images of Docker Hub without a namespace are in library/")
    } else if !without_lists(text, |_| 'a').split('/').all(could_be_part) {
        Some("a repository consists of lower-case letters and digits, separated by '.', '_', '-' or '/'")
    } else {
        None
    }
}

/// Whether a part of a repository can match.
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
    fn the_list_has_every_subcommand_of_the_host() {
        let tables = bootc_image_grammar::TABLES.iter().map(|table| format!("cmd {}", table.subcommand));
        let judged: Vec<String> =
            tables.filter(|name| SPELLINGS.iter().all(|(spelled, _)| spelled != name)).collect();
        let known: Vec<String> = SUBCOMMANDS.iter().map(|name| format!("cmd {name}")).collect();
        assert_eq!(known, judged);
    }
}
