//! The parsed form, and how it is printed for podman.

use std::fmt;

use serde::Serialize;

use crate::parse::{Refusal, parse};
use crate::table::{Kind, Table};
use crate::tables::table;

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
    /// Given without a value where one may be given.
    Alone,
}

/// One value of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// Long name of the option whose value it is; none for an operand.
    pub option: Option<&'a str>,
    /// What it means.
    pub kind: Kind,
    /// The value.
    pub text: &'a str,
}

impl fmt::Display for SetFlag {
    /// As podman gets it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            FlagValue::Switch(on) => write!(f, "--{}={on}", self.name),
            FlagValue::Text(text) => write!(f, "--{}={text}", self.name),
            FlagValue::Alone => write!(f, "--{}", self.name),
        }
    }
}

impl Command {
    /// The subcommand of `podman image`: a word, or two with a space between.
    pub fn subcommand(&self) -> &str {
        &self.subcommand
    }

    /// Its first word.
    pub fn name(&self) -> &str {
        self.subcommand.split(' ').next().unwrap_or_default()
    }

    /// The options, in the order given; of an option that counts once only the last stands.
    pub fn flags(&self) -> &[SetFlag] {
        &self.flags
    }

    /// The operands, in the order given.
    pub fn operands(&self) -> &[String] {
        &self.operands
    }

    /// How it parses.
    pub fn table(&self) -> Option<&'static Table> {
        table(&self.subcommand)
    }

    /// Every value with what it means: of the options that have one, then the operands.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let flags = self.flags.iter().filter_map(|flag| match &flag.value {
            FlagValue::Text(text) => {
                let kind = self.table()?.long(&flag.name)?.kind;
                Some(Value { option: Some(&flag.name), kind, text })
            }
            FlagValue::Switch(_) | FlagValue::Alone => None,
        });
        let operands = self.operands.iter().enumerate().filter_map(|(position, text)| {
            Some(Value { option: None, kind: self.table()?.operand(position)?.kind, text })
        });
        flags.chain(operands)
    }

    /// The same command with other values: `value` is asked for each. What comes out is parsed again.
    ///
    /// # Errors
    /// What `value` says; [`Refusal`].
    pub fn rewrite<E: From<Refusal>>(
        &self,
        mut value: impl FnMut(Kind, &str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut new = self.clone();
        for flag in &mut new.flags {
            let kind = self.table().and_then(|table| table.long(&flag.name)).map(|flag| flag.kind);
            if let (FlagValue::Text(text), Some(kind)) = (&mut flag.value, kind) {
                *text = value(kind, text)?;
            }
        }
        for (position, operand) in new.operands.iter_mut().enumerate() {
            if let Some(expected) = self.table().and_then(|table| table.operand(position)) {
                *operand = value(expected.kind, operand)?;
            }
        }
        Ok(new.again()?)
    }

    /// The same command with other operands.
    ///
    /// # Errors
    /// [`Refusal`] if it doesn't take so many.
    pub fn with_operands(&self, operands: Vec<String>) -> Result<Self, Refusal> {
        Self { operands, ..self.clone() }.again()
    }

    /// What its printed form parses to.
    ///
    /// # Errors
    /// [`Refusal`], which a command that was parsed never gives.
    pub fn again(&self) -> Result<Self, Refusal> {
        let argv = self.argv();
        let (name, args) = argv.split_first().ok_or(Refusal::UnknownSubcommand(String::new()))?;
        parse(name, args)
    }

    /// The arguments after `podman image`: the subcommand, every option as `--name=value`, then `--` and the operands.
    /// Parsing them again gives this command again.
    pub fn argv(&self) -> Vec<String> {
        let flags = self.flags.iter().map(ToString::to_string);
        let mut argv: Vec<String> = self.subcommand.split(' ').map(str::to_owned).chain(flags).collect();
        if !self.operands.is_empty() {
            argv.push("--".to_owned());
            argv.extend(self.operands.iter().cloned());
        }
        argv
    }
}
