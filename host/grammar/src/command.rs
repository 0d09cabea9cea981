//! A parsed command, and the argument vector for podman.

use std::fmt;

use serde::Serialize;

use crate::parse::{ParseError, parse};
use crate::table::{Does, Kind, Purpose, Table};
use crate::tables::table;

/// A `podman image` subcommand with its arguments, as it is judged and run. Only [`crate::parse`] creates one.
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
    /// Its value.
    pub value: FlagValue,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FlagValue {
    /// Of a switch.
    Switch(bool),
    /// A string.
    Text(String),
    /// None, for an option whose value is optional.
    Alone,
}

/// An operand, or an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The long name of the option; `None` for an operand.
    pub option: Option<&'a str>,
    /// What it means.
    pub kind: Kind,
    /// The purpose of its option; [`Purpose::PodmanOnly`] for an operand.
    pub purpose: Purpose,
    /// The value.
    pub text: &'a str,
}

impl SetFlag {
    /// The string value; `None` for a switch, and for an option without a value.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            FlagValue::Text(text) => Some(text),
            FlagValue::Switch(_) | FlagValue::Alone => None,
        }
    }
}

impl fmt::Display for SetFlag {
    /// The argument for podman.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            FlagValue::Switch(on) => write!(f, "--{}={on}", self.name),
            FlagValue::Text(text) => write!(f, "--{}={text}", self.name),
            FlagValue::Alone => write!(f, "--{}", self.name),
        }
    }
}

impl Command {
    /// The subcommand of `podman image`: one word, or two with a space between.
    pub fn subcommand(&self) -> &str {
        &self.subcommand
    }

    /// Its first word.
    pub fn name(&self) -> &str {
        self.subcommand.split(' ').next().unwrap_or_default()
    }

    /// The options, in the order given; of an option that counts once only the last one is kept.
    pub fn flags(&self) -> &[SetFlag] {
        &self.flags
    }

    /// The operands, in the order given.
    pub fn operands(&self) -> &[String] {
        &self.operands
    }

    /// The table of its subcommand.
    pub fn table(&self) -> Option<&'static Table> {
        table(&self.subcommand)
    }

    /// What it does. Without a table it counts as a build, the subcommand with the strictest rules: code runs, and its images
    /// are unknown before.
    pub fn does(&self) -> Does {
        self.table().map_or(Does::Builds, |table| table.does)
    }

    /// Whether podman may need a directory for large temporary files; true without a table.
    pub fn needs_scratch(&self) -> bool {
        self.table().is_none_or(|table| table.needs_scratch)
    }

    /// Whether it accepts an operand of this kind, given or not; true without a table.
    pub fn has_operand_of(&self, kind: Kind) -> bool {
        self.table().is_none_or(|table| table.operands.iter().any(|operand| operand.kind == kind))
    }

    /// The value of a switch, by its long name; `None` if it was not given. Needs no table.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.flags.iter().find_map(|flag| match flag.value {
            FlagValue::Switch(on) if flag.name == name => Some(on),
            _ => None,
        })
    }

    /// Whether a switch, by its long name, was given and is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// The first string value of an option, by its long name. Needs no table.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.flags.iter().filter(|flag| flag.name == name).find_map(SetFlag::text)
    }

    /// The options with this purpose that were given, in the order given. An option that no table lists is never among them, so it
    /// is not passed to any other tool.
    pub fn given_for(&self, purpose: Purpose) -> impl Iterator<Item = &SetFlag> {
        self.flags.iter().filter(move |flag| {
            let known = self.table().and_then(|table| table.long(&flag.name));
            known.is_some_and(|known| known.purpose == purpose)
        })
    }

    /// Whether a switch with this purpose is on.
    pub fn is_on_for(&self, purpose: Purpose) -> bool {
        self.given_for(purpose).any(|flag| flag.value == FlagValue::Switch(true))
    }

    /// The string value of the first option with this purpose that was given.
    pub fn text_for(&self, purpose: Purpose) -> Option<&str> {
        self.given_for(purpose).find_map(SetFlag::text)
    }

    /// Every value with its meaning: those of options first, then the operands.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let flags = self.flags.iter().filter_map(|flag| match &flag.value {
            FlagValue::Text(text) => {
                let known = self.table()?.long(&flag.name)?;
                Some(Value { option: Some(&flag.name), kind: known.kind, purpose: known.purpose, text })
            }
            FlagValue::Switch(_) | FlagValue::Alone => None,
        });
        let operands = self.operands.iter().enumerate().filter_map(|(position, text)| {
            let kind = self.table()?.operand(position)?.kind;
            Some(Value { option: None, kind, purpose: Purpose::PodmanOnly, text })
        });
        flags.chain(operands)
    }

    /// Replaces each value by what `value` returns for it, and parses the result again.
    ///
    /// # Errors
    /// The error of `value`; [`ParseError`].
    pub fn rewrite<E: From<ParseError>>(
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

    /// Replaces the operands.
    ///
    /// # Errors
    /// [`ParseError`] if their number or form is invalid.
    pub fn with_operands(&self, operands: Vec<String>) -> Result<Self, ParseError> {
        Self { operands, ..self.clone() }.again()
    }

    /// Prints it and parses the result.
    ///
    /// # Errors
    /// [`ParseError`], which a parsed command never returns.
    pub fn again(&self) -> Result<Self, ParseError> {
        let argv = self.argv();
        let (name, args) = argv.split_first().ok_or(ParseError::UnknownSubcommand(String::new()))?;
        parse(name, args)
    }

    /// The arguments after `podman image`: the subcommand, every option as `--name=value`, then `--` and the operands.
    /// Parsing them gives the same command.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn command(subcommand: &str, args: &[&str]) -> Command {
        parse(subcommand, &args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn options_are_found_by_name_and_by_purpose() {
        let pull = command("pull", &["--os=linux", "--arch", "arm64", "--tls-verify=false", "-q", "r/a"]);
        assert_eq!((pull.does(), pull.needs_scratch()), (Does::Pulls, true));
        assert_eq!((pull.switch("tls-verify"), pull.switch("all-tags")), (Some(false), None));
        assert!(pull.is_on("quiet") && !pull.is_on("tls-verify") && !pull.is_on_for(Purpose::EveryTag));
        assert_eq!(
            (pull.text("arch"), pull.text("quiet"), pull.text("variant")),
            (Some("arm64"), None, None)
        );
        assert_eq!(pull.text_for(Purpose::Architecture), Some("arm64"));
        assert_eq!(pull.text_for(Purpose::Platform), None);
        let asks: Vec<String> = pull.given_for(Purpose::ContactsRegistry).map(ToString::to_string).collect();
        assert_eq!(asks, ["--tls-verify=false"]);
        assert!(pull.has_operand_of(Kind::Remote) && !pull.has_operand_of(Kind::Source));
        assert!(command("pull", &["-a", "r/a"]).is_on_for(Purpose::EveryTag));
        assert!(command("save", &["-m", "a", "b"]).is_on_for(Purpose::EachImage));
        assert!(command("build", &[]).has_operand_of(Kind::Source), "whether it is given or not");
        let build = command("build", &["--cache-from=r/a", "--cache-to=r/b", "/x"]);
        let purposes: Vec<_> = build.values().map(|value| value.purpose).collect();
        assert_eq!(purposes, [Purpose::PodmanOnly, Purpose::SendsTo, Purpose::PodmanOnly]);
        assert_eq!(command("build", &["--platform=a", "--platform=b"]).text("platform"), Some("a"));
        assert_eq!(command("build", &["--pull"]).text("pull"), None);
    }

    #[test]
    fn what_no_table_knows_counts_as_the_worst() {
        let flags = vec![SetFlag { name: "x".to_owned(), value: FlagValue::Switch(true) }];
        let unknown = Command { subcommand: "mount".to_owned(), flags, operands: Vec::new() };
        assert_eq!((unknown.does(), unknown.needs_scratch()), (Does::Builds, true));
        assert!(unknown.has_operand_of(Kind::Source) && unknown.has_operand_of(Kind::Remote));
        assert_eq!(unknown.given_for(Purpose::ContactsRegistry).count(), 0, "it is not passed to skopeo");
        assert_eq!(unknown.does().own(), None);
        assert!(!unknown.does().has_known_images());
    }
}
