//! Which operations a policy is asked about. The host compares; a component that isn't concerned is never loaded.

use std::fmt;

use bootc_image_core::pattern::Pattern;
use bootc_image_core::view::{Role, View};
use toml::Spanned;

use super::raw::RawWhen;
use crate::sanitize::is_clean;
use crate::strict::{Complaint, Source, nearest};

/// Operations beside those of `cmd`.
const OPERATIONS: &[&str] =
    &["list", "copy-to-storage", "pull-from-default-storage", "set-unified", "remove", "prune", "repair"];

/// Subcommands that are spellings of operations of the host's own, and what these are called (D3.13).
const SPELLINGS: &[(&str, &str)] = &[("cmd prune", "prune"), ("cmd rm", "remove"), ("cmd rmi", "remove")];

/// What must match; an empty list is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    operations: Vec<Pattern>,
    references: Vec<Pattern>,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ");
        match (self.operations.as_slice(), self.references.as_slice()) {
            ([], []) => f.write_str("every operation"),
            (operations, []) => f.write_str(&words(operations)),
            ([], references) => write!(f, "operations on {}", words(references)),
            (operations, references) => write!(f, "{} on {}", words(operations), words(references)),
        }
    }
}

impl When {
    pub(super) fn parse(source: Source<'_>, raw: &RawWhen) -> Result<Self, Complaint> {
        let patterns =
            |given: &Option<Vec<Spanned<String>>>, key, check: fn(&Pattern) -> Result<(), String>| {
                let pattern = |text: &Spanned<String>| {
                    source.checked(text, key, |text| {
                        let pattern = Pattern::new(text)?;
                        if !is_clean(text) {
                            return Err(format!("{text:?} has characters that can't be seen"));
                        }
                        check(&pattern)?;
                        Ok(pattern)
                    })
                };
                given.iter().flatten().map(pattern).collect::<Result<Vec<_>, _>>()
            };
        Ok(Self {
            operations: patterns(&raw.operations, "operations", matches_something)?,
            references: patterns(&raw.references, "references", names_something)?,
        })
    }

    /// Whether an operation concerns the policy. An image whose name can't be told could have any.
    pub fn concerns(&self, view: &View) -> bool {
        let kind = || self.operations.iter().any(|pattern| pattern.matches(&view.kind));
        if !self.operations.is_empty() && !kind() {
            return false;
        }
        let unknown = view.attr("pinned") == Some("false")
            || view.attr("resolved") == Some("false")
            || view.images.iter().any(|image| image.name.is_none() && image.role != Role::Target);
        let named = || {
            let mut names = view.images.iter().filter_map(|image| image.name.as_ref());
            names.any(|name| self.references.iter().any(|pattern| pattern.matches(&name.path())))
        };
        self.references.is_empty() || unknown || named()
    }
}

/// A pattern that no operation can match would be a policy that is never asked.
fn matches_something(pattern: &Pattern) -> Result<(), String> {
    let spelling = |command: &str| SPELLINGS.iter().find(|(spelled, _)| *spelled == command);
    let commands = bootc_image_grammar::TABLES.iter().map(|table| format!("cmd {}", table.subcommand));
    let commands = commands.filter(|command| spelling(command).is_none());
    let known: Vec<String> = OPERATIONS.iter().map(|&name| name.to_owned()).chain(commands).collect();
    if known.iter().any(|name| pattern.matches(name)) {
        return Ok(());
    }
    if let Some((spelled, judged)) = SPELLINGS.iter().find(|(spelled, _)| pattern.matches(spelled)) {
        return Err(format!("no operation is called {spelled:?}: it is judged as {judged:?}"));
    }
    let near = nearest(pattern.as_str(), known.iter().map(String::as_str));
    let hint = near.map_or_else(
        || format!("; known are {}", known.join(", ")),
        |near| format!("; did you mean {near:?}?"),
    );
    Err(format!("no operation is called {:?}{hint}", pattern.as_str()))
}

/// The same of names: they are compared in lower case, without transport, tag and digest, and have a registry in front. One that
/// ends its registry in a wildcard has names of strangers match as well.
fn names_something(pattern: &Pattern) -> Result<(), String> {
    let text = pattern.as_str();
    let (registry, rest) =
        text.split_once('/').map_or((text, None), |(registry, rest)| (registry, Some(rest)));
    let of_no_registry = registry.is_empty();
    let fix = if text.contains("://") {
        "names are compared without their transport: leave it out"
    } else if text.contains('@') || (!of_no_registry && rest.is_some_and(|rest| rest.contains(':'))) {
        "names are compared without tag and digest: leave them out, and let the policy itself look at them"
    } else if !of_no_registry && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        "names are compared in lower case"
    } else if rest.is_none() && !registry.contains("**") {
        "every name has a registry and a repository: write REGISTRY/REPOSITORY, or REGISTRY/** for all of a registry"
    } else if ends_openly(registry) {
        return Err(format!(
            "{text:?} has names of other registries match, too, such as {}: write the registry in full, with /** behind it",
            registry.replace(['*', '?'], ".example.net")
        ));
    } else {
        return Ok(());
    };
    Err(format!("no name of an image is like {text:?}: {fix}"))
}

/// Whether the owner of another registry could choose a name for it that is like this one.
fn ends_openly(registry: &str) -> bool {
    let host = registry.split(':').next().unwrap_or(registry);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.contains(['*', '?']) && host.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_image_has_and_names_of_strangers_are_refused() {
        for (pattern, expected) in [
            ("quay.io/x/y", None),
            ("quay.io/**", None),
            ("**", None),
            ("*/x/*", None),
            ("*.example.com/**", None),
            ("localhost:5000/x/y", None),
            ("example.com:*/x", None),
            ("/srv/images/*", None),
            ("/srv/images/os:1", None),
            ("quay.io/x/y:latest", Some("without tag and digest")),
            ("quay.io/x/y@sha256:*", Some("without tag and digest")),
            ("docker://quay.io/x", Some("without their transport")),
            ("quay.io/X/y", Some("in lower case")),
            ("quay.io", Some("REGISTRY/**")),
            ("*", Some("REGISTRY/**")),
            ("example.com*", Some("REGISTRY/**")),
            ("example.com*/x/y", Some("example.com.example.net/")),
            ("quay.*/x", Some("other registries")),
        ] {
            let found = names_something(&Pattern::new(pattern).unwrap()).err();
            match expected {
                None => assert_eq!(found, None, "{pattern}"),
                Some(part) => assert!(
                    found.as_deref().is_some_and(|found| found.contains(part.trim_end_matches('/'))),
                    "{pattern}: {found:?}"
                ),
            }
        }
    }
}
