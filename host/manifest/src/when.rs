//! Which operations a policy judges. The host compares, and does not load the component for other operations.

use std::fmt;

use bootc_image_core::ops::Operation;
use bootc_image_grammar::{TABLES, own_spellings};
use bootc_image_model::pattern::Pattern;
use bootc_image_model::policy_input::{PolicyInput, Role};
use bootc_image_model::sanitize::is_clean;
use toml::Spanned;

use crate::raw::RawWhen;
use crate::strict::{Diagnostic, Source, nearest};

/// The conditions on an operation; an empty list matches every operation.
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
    pub(crate) fn parse(source: Source<'_>, raw: &RawWhen) -> Result<Self, Diagnostic> {
        let patterns =
            |given: &Option<Vec<Spanned<String>>>, key, check: fn(&Pattern) -> Result<(), String>| {
                let pattern = |text: &Spanned<String>| {
                    source.checked(text, key, |text| {
                        let pattern = Pattern::new(text)?;
                        if !is_clean(text) {
                            return Err(format!("{text:?} contains invisible characters"));
                        }
                        check(&pattern)?;
                        Ok(pattern)
                    })
                };
                given.iter().flatten().map(pattern).collect::<Result<Vec<_>, _>>()
            };
        Ok(Self {
            operations: patterns(&raw.operations, "operations", matches_something)?,
            references: patterns(&raw.references, "references", Pattern::check_names)?,
        })
    }

    /// Whether the policy judges an operation. An image whose name is unknown matches every pattern.
    pub fn concerns(&self, policy_input: &PolicyInput) -> bool {
        let kind = || self.operations.iter().any(|pattern| pattern.matches(&policy_input.kind));
        if !self.operations.is_empty() && !kind() {
            return false;
        }
        let unknown = policy_input.attr("pinned") == Some("false")
            || policy_input.attr("resolved") == Some("false")
            || policy_input.images.iter().any(|image| image.name.is_none() && image.role != Role::Target);
        let named = || {
            let mut names = policy_input.images.iter().filter_map(|image| image.name.as_ref());
            names.any(|name| self.references.iter().any(|pattern| pattern.matches(&name.path())))
        };
        self.references.is_empty() || unknown || named()
    }
}

/// Refuses a pattern that matches no operation: the policy would never judge anything.
fn matches_something(pattern: &Pattern) -> Result<(), String> {
    let commands = TABLES.iter().filter(|table| table.does.own().is_none());
    let commands = commands.map(|table| format!("cmd {}", table.subcommand));
    let known: Vec<String> = Operation::JUDGED.iter().map(|&name| name.to_owned()).chain(commands).collect();
    if known.iter().any(|name| pattern.matches(name)) {
        return Ok(());
    }
    // `cmd rm`, `cmd rmi` and `cmd prune` run the host's own removal and are judged under its name.
    let mut spellings = own_spellings().map(|(name, operation)| (format!("cmd {name}"), operation.name()));
    if let Some((spelled, judged)) = spellings.find(|(spelled, _)| pattern.matches(spelled)) {
        return Err(format!("there is no operation {spelled:?}: it is judged as {judged:?}"));
    }
    let near = nearest(pattern.as_str(), known.iter().map(String::as_str));
    let hint = near.map_or_else(
        || format!("; expected one of: {}", known.join(", ")),
        |near| format!("; did you mean {near:?}?"),
    );
    Err(format!("there is no operation {:?}{hint}", pattern.as_str()))
}
