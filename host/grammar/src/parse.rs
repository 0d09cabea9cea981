//! Parses an argument vector to a [`Command`] by the rules of podman's option library (pflag).

use crate::command::{Command, FlagValue, SetFlag};
use crate::table::{Arity, Flag, Table};
use crate::tables::{GLOBAL, table};

/// The maximum length of an argument, in bytes: far above any image name or filter, far below the limit of exec.
const MAX_ARGUMENT: usize = 4096;
/// The maximum number of arguments.
const MAX_ARGUMENTS: usize = 256;

/// Why an argument vector is denied. podman has not been started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The subcommand has no table.
    #[error("`podman image {0}` is not supported")]
    UnknownSubcommand(String),
    /// An option that the table does not list.
    #[error("option {option} is not supported by `podman image {subcommand}`")]
    UnknownFlag {
        /// As typed, without its value.
        option: String,
        /// The subcommand.
        subcommand: &'static str,
    },
    /// A global option of podman.
    #[error("option {0} is a global option of podman and cannot be given here")]
    GlobalFlag(String),
    /// An option that needs a value is the last argument.
    #[error("option --{0} needs a value")]
    MissingValue(&'static str),
    /// A switch was given something other than a boolean.
    #[error("option --{name} takes true or false, not {value:?}")]
    NotABoolean {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Too few or too many operands.
    #[error("`podman image {subcommand}` takes {takes}, but {given} operands were given")]
    OperandCount {
        /// The subcommand.
        subcommand: &'static str,
        /// The operands that it accepts.
        takes: String,
        /// The number of operands.
        given: usize,
    },
    /// An operand that is empty, begins with `-` after `--`, or would be split into more than one.
    #[error("podman would read {0:?} as an option or as several values")]
    BadOperand(String),
    /// An argument with a control character, or beyond the limits.
    #[error("argument {index} {why}")]
    BadArgument {
        /// Position after the subcommand, from 1.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Parses the arguments after `podman image SUBCOMMAND`.
///
/// # Errors
/// [`ParseError`] if the subcommand has no table or its arguments do not match it.
pub fn parse(subcommand: &str, args: &[String]) -> Result<Command, ParseError> {
    let (table, args) = find(subcommand, args)?;
    check_text(args)?;
    let mut command =
        Command { subcommand: table.subcommand.to_owned(), flags: Vec::new(), operands: Vec::new() };
    let mut rest = args.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if argument == "--" {
            command.operands.extend(rest.by_ref().map(str::to_owned));
        } else if let Some(long) = argument.strip_prefix("--") {
            parse_long(table, long, &mut rest, &mut command)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            parse_letters(table, letters, &mut rest, &mut command)?;
        } else {
            command.operands.push(argument.to_owned());
        }
    }
    check_operands(table, &command.operands)?;
    // The printed form can be longer, and is parsed again.
    check_text(command.argv().get(table.subcommand.split(' ').count()..).unwrap_or_default())?;
    Ok(command)
}

/// The table, and the arguments after the subcommand's words.
fn find<'a>(subcommand: &str, args: &'a [String]) -> Result<(&'static Table, &'a [String]), ParseError> {
    if let Some(table) = table(subcommand).filter(|table| !table.subcommand.contains(' ')) {
        return Ok((table, args));
    }
    let nested = args.split_first().and_then(|(second, rest)| {
        let words = format!("{subcommand} {second}");
        Some((table(&words)?, rest))
    });
    nested.ok_or_else(|| ParseError::UnknownSubcommand(subcommand.to_owned()))
}

fn check_text(args: &[String]) -> Result<(), ParseError> {
    if args.len() > MAX_ARGUMENTS {
        return Err(ParseError::BadArgument {
            index: MAX_ARGUMENTS + 1,
            why: "exceeds the limit of 256 arguments",
        });
    }
    for (index, argument) in args.iter().enumerate() {
        let why = if argument.len() > MAX_ARGUMENT {
            "is longer than 4096 bytes"
        } else if argument.chars().any(char::is_control) {
            "contains a control character"
        } else {
            continue;
        };
        return Err(ParseError::BadArgument { index: index + 1, why });
    }
    Ok(())
}

fn check_operands(table: &Table, operands: &[String]) -> Result<(), ParseError> {
    let least: usize = table.operands.iter().map(|operand| operand.min).sum();
    let most: usize = table.operands.iter().map(|operand| operand.max).sum();
    if !(least..=most).contains(&operands.len()) {
        let takes = if most == 0 { "no operands".to_owned() } else { table.to_string() };
        return Err(ParseError::OperandCount { subcommand: table.subcommand, takes, given: operands.len() });
    }
    match operands.iter().find(|operand| operand.is_empty() || operand.starts_with('-')) {
        Some(bad) => Err(ParseError::BadOperand(bad.clone())),
        None => Ok(()),
    }
}

fn parse_long<'a>(
    table: &Table,
    text: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
    command: &mut Command,
) -> Result<(), ParseError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    match table.long(name) {
        Some(flag) => set(command, flag, value, rest),
        None => Err(unknown(table, format!("--{name}"))),
    }
}

/// `-abc`, `-fVALUE`, `-f=VALUE` and `-f VALUE`: switches may be combined, and the first option that takes a value takes the rest.
fn parse_letters<'a>(
    table: &Table,
    text: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
    command: &mut Command,
) -> Result<(), ParseError> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let flag = table.short(letter).ok_or_else(|| unknown(table, format!("-{letter}")))?;
        let tail = letters.as_str();
        if let Some(value) = tail.strip_prefix('=') {
            return set(command, flag, Some(value), rest);
        }
        if matches!(flag.arity, Arity::Switch | Arity::Optional) {
            set(command, flag, None, rest)?;
        } else {
            return set(command, flag, Some(tail).filter(|tail| !tail.is_empty()), rest);
        }
    }
    Ok(())
}

fn unknown(table: &Table, option: String) -> ParseError {
    if option.strip_prefix("--").is_some_and(|name| GLOBAL.contains(&name)) {
        return ParseError::GlobalFlag(option);
    }
    ParseError::UnknownFlag { option, subcommand: table.subcommand }
}

fn set<'a>(
    command: &mut Command,
    flag: &'static Flag,
    value: Option<&'a str>,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<(), ParseError> {
    let value = match (flag.arity, value) {
        (Arity::Switch, None) => FlagValue::Switch(true),
        (Arity::Switch, Some(text)) => FlagValue::Switch(
            boolean(text)
                .ok_or_else(|| ParseError::NotABoolean { name: flag.name, value: text.to_owned() })?,
        ),
        (Arity::Optional, None) => FlagValue::Alone,
        (_, Some(text)) => FlagValue::Text(text.to_owned()),
        (_, None) => FlagValue::Text(rest.next().ok_or(ParseError::MissingValue(flag.name))?.to_owned()),
    };
    if flag.arity != Arity::Many {
        command.flags.retain(|earlier| earlier.name != flag.name);
    }
    command.flags.push(SetFlag { name: flag.name.to_owned(), value });
    Ok(())
}

/// A boolean as podman's option library parses it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(subcommand: &str, args: &[&str]) -> Result<Command, ParseError> {
        parse(subcommand, &args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    fn argv(subcommand: &str, args: &[&str]) -> Vec<String> {
        parsed(subcommand, args).unwrap().argv()
    }

    #[test]
    fn every_spelling_of_an_option_prints_the_same() {
        for args in [
            &["--filter", "label=a"][..],
            &["--filter=label=a"],
            &["-f", "label=a"],
            &["-flabel=a"],
            &["-f=label=a"],
        ] {
            assert_eq!(argv("list", args), ["list", "--filter=label=a"], "{args:?}");
        }
        assert_eq!(argv("list", &["-aq"]), ["list", "--all=true", "--quiet=true"]);
        assert_eq!(argv("list", &["-qf", "x=y"]), ["list", "--quiet=true", "--filter=x=y"]);
        assert_eq!(argv("list", &["--all=F"]), ["list", "--all=false"]);
    }

    #[test]
    fn the_last_of_an_option_that_counts_once_stands() {
        assert_eq!(argv("list", &["--sort", "id", "--sort=tag"]), ["list", "--sort=tag"]);
        assert_eq!(argv("list", &["-f", "a=b", "-f", "c=d"]), ["list", "--filter=a=b", "--filter=c=d"]);
    }

    #[test]
    fn an_option_that_may_stand_alone_takes_no_next_argument() {
        assert_eq!(argv("build", &["--pull", "x"]), ["build", "--pull", "--", "x"]);
        assert_eq!(argv("build", &["--pull=never", "x"]), ["build", "--pull=never", "--", "x"]);
    }

    #[test]
    fn a_second_name_prints_as_the_first() {
        assert_eq!(argv("build", &["--net", "host"]), ["build", "--network=host"]);
    }

    #[test]
    fn a_subcommand_of_two_words_is_one() {
        assert_eq!(argv("trust", &["show", "--raw", "r"]), ["trust", "show", "--raw=true", "--", "r"]);
        assert_eq!(parsed("trust", &["show", "r"]).unwrap().name(), "trust");
        assert!(parsed("trust", &["set", "r"]).is_err(), "it writes where nobody said");
        assert!(parsed("untag", &["a"]).is_err(), "it would take all names");
    }

    #[test]
    fn operands_stand_behind_two_dashes() {
        assert_eq!(argv("pull", &["r/a", "-q", "r/b"]), ["pull", "--quiet=true", "--", "r/a", "r/b"]);
        assert_eq!(argv("pull", &["--", "r/a"]), ["pull", "--", "r/a"]);
    }

    #[test]
    fn what_no_table_lists_is_refused() {
        for (subcommand, args) in [
            ("list", &["--al"][..]),
            ("list", &["-x"]),
            ("list", &["-ax"]),
            ("list", &["-é"]),
            ("list", &["--=x"]),
            ("list", &["---all"]),
            ("pull", &["--help-me", "r/a"]),
        ] {
            assert!(matches!(parsed(subcommand, args), Err(ParseError::UnknownFlag { .. })), "{args:?}");
        }
        for global in ["--root", "--root=/x", "--cpu-profile=/x", "--network-config-dir=/x", "--help"] {
            assert!(matches!(parsed("pull", &[global, "r/a"]), Err(ParseError::GlobalFlag(_))), "{global}");
        }
        for subcommand in ["mount", "trust", "trust show", "pull pull"] {
            assert!(matches!(parsed(subcommand, &[]), Err(ParseError::UnknownSubcommand(_))), "{subcommand}");
        }
        assert!(matches!(parsed("", &[]), Err(ParseError::UnknownSubcommand(_))));
    }

    #[test]
    fn what_is_too_long_once_it_is_printed_is_refused() {
        let conditions = |count: usize| {
            let conditions = vec!["--filter=dangling=true".to_owned(); count];
            parse("list", &[conditions, vec!["a".to_owned()]].concat())
        };
        // `--` stands before the name.
        assert!(conditions(MAX_ARGUMENTS - 2).unwrap().again().is_ok());
        assert!(matches!(conditions(MAX_ARGUMENTS - 1), Err(ParseError::BadArgument { .. })));
        let value = |length: usize| ["--format".to_owned(), "x".repeat(length)];
        let printed = "--format=".len();
        assert!(parse("list", &value(MAX_ARGUMENT - printed)).unwrap().again().is_ok());
        assert!(matches!(
            parse("list", &value(MAX_ARGUMENT - printed + 1)),
            Err(ParseError::BadArgument { index: 1, .. })
        ));
    }

    #[test]
    fn malformed_values_and_operands_are_refused() {
        assert_eq!(parsed("list", &["--filter"]), Err(ParseError::MissingValue("filter")));
        assert_eq!(parsed("list", &["-f"]), Err(ParseError::MissingValue("filter")));
        assert!(matches!(parsed("list", &["--all=maybe"]), Err(ParseError::NotABoolean { .. })));
        assert!(matches!(parsed("list", &["a", "b"]), Err(ParseError::OperandCount { given: 2, .. })));
        assert!(matches!(parsed("pull", &[]), Err(ParseError::OperandCount { given: 0, .. })));
        assert!(matches!(parsed("pull", &[""]), Err(ParseError::BadOperand(_))));
        assert!(matches!(parsed("pull", &["--", "--root=/x"]), Err(ParseError::BadOperand(_))));
        assert!(matches!(parsed("pull", &["-"]), Err(ParseError::BadOperand(_))));
        for bad in ["a\0b", "a\nb", "\u{1b}[2J", "\u{9b}2J"] {
            assert!(
                matches!(parsed("pull", &[bad]), Err(ParseError::BadArgument { index: 1, .. })),
                "{bad:?}"
            );
        }
        assert!(matches!(parsed("pull", &["x"; 300]), Err(ParseError::BadArgument { .. })));
        assert!(matches!(parsed("pull", &[&"x".repeat(5000)]), Err(ParseError::BadArgument { .. })));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let long = "x".repeat(MAX_ARGUMENT + 1);
        for (subcommand, args, why) in [
            ("list", &["--filter"][..], "option --filter needs a value"),
            ("list", &["--all=maybe"], "option --all takes true or false, not \"maybe\""),
            ("pull", &[&long], "argument 1 is longer than 4096 bytes"),
            ("list", &["a", "b"], "`podman image list` takes [IMAGE], but 2 operands were given"),
        ] {
            assert_eq!(parsed(subcommand, args).unwrap_err().to_string(), why);
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_again_gives_the_same_command(
            table in prop::sample::select(crate::TABLES),
            args in prop::collection::vec(
                prop_oneof![
                    "-{0,3}[a-z=-]{0,12}",
                    ".{0,16}",
                    prop::sample::select(crate::TABLES.iter().flat_map(|t| t.flags).map(|f| format!("--{}", f.name))
                        .collect::<Vec<_>>()),
                ],
                0..8,
            ),
        ) {
            let mut words = table.subcommand.split(' ').map(str::to_owned);
            let subcommand = words.next().unwrap();
            let args: Vec<String> = words.chain(args).collect();
            if let Ok(command) = parse(&subcommand, &args) {
                let printed = command.argv();
                prop_assert_eq!(&printed[0], &subcommand);
                prop_assert_eq!(command.name(), &subcommand);
                prop_assert_eq!(parse(&subcommand, &printed[1..]).unwrap(), command);
            }
        }
    }
}
