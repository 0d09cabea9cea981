//! The parsed form, and how it is printed for podman.

use serde::Serialize;

/// One podman image subcommand with its arguments, as judged and as printed. Made only by [`crate::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    pub(crate) subcommand: String,
    pub(crate) flags: Vec<SetFlag>,
    pub(crate) operands: Vec<String>,
}

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetFlag {
    /// Long name without the dashes.
    pub name: String,
    /// What it was set to.
    pub value: FlagValue,
}

/// What an option was set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FlagValue {
    /// On or off.
    Switch(bool),
    /// A text.
    Text(String),
}

impl Command {
    /// The subcommand of `podman image`.
    pub fn subcommand(&self) -> &str {
        &self.subcommand
    }

    /// The options, in the order given; of an option that counts once only the last stands.
    pub fn flags(&self) -> &[SetFlag] {
        &self.flags
    }

    /// The operands, in the order given.
    pub fn operands(&self) -> &[String] {
        &self.operands
    }

    /// The arguments after `podman image`: the subcommand, every option as `--name=value`, then `--` and the operands.
    /// Parsing them again gives this command again.
    pub fn argv(&self) -> Vec<String> {
        let flags = self.flags.iter().map(|flag| match &flag.value {
            FlagValue::Switch(on) => format!("--{}={on}", flag.name),
            FlagValue::Text(text) => format!("--{}={text}", flag.name),
        });
        let mut argv: Vec<String> = std::iter::once(self.subcommand.clone()).chain(flags).collect();
        if !self.operands.is_empty() {
            argv.push("--".to_owned());
            argv.extend(self.operands.iter().cloned());
        }
        argv
    }
}
