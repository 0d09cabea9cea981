//! Parses the command line, and reports usage errors.

use std::ffi::OsString;

use bootc_image_grammar::TABLES;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser as _, ValueEnum as _};

use crate::called::OWN_NAME;
use crate::commands::Arguments;
use crate::exit;
use crate::options::LogFormat;
use crate::ui::Ui;

/// The subcommands that may be suggested for a typing error. None of them removes something, or changes which plugins are trusted:
/// whoever follows a suggestion without thinking must lose nothing.
const SUGGESTED: [&str; 15] = [
    "list",
    "exists",
    "copy-to-storage",
    "pull-from-default-storage",
    "set-unified",
    "repair",
    "cmd",
    "completion",
    "plugin",
    "policy",
    "help",
    "show",
    "doctor",
    "explain",
    "test",
];

/// Commands of bootc that this program does not have.
const OF_BOOTC: [&str; 12] = [
    "upgrade",
    "update",
    "switch",
    "rollback",
    "edit",
    "status",
    "usr-overlay",
    "usroverlay",
    "install",
    "container",
    "config-diff",
    "internals",
];

/// Commands that have commands of their own.
const GROUPS: [&str; 3] = ["plugin", "policy", "explain"];

/// Global options with a value in the next word.
const WITH_VALUE: [&str; 2] = ["--sysroot", "--log-format"];

/// Parses the words, of which the first is the program.
pub(crate) fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    // A link may have any name; help shows the one that everybody has.
    let arguments = words.iter().skip(1).cloned();
    Arguments::try_parse_from(
        std::iter::once(OsString::from(OWN_NAME)).chain(asking_for_help(arguments.collect())),
    )
}

/// `help X Y` as `X Y --help`, so that help is the same whichever way it is asked for.
fn asking_for_help(mut words: Vec<OsString>) -> Vec<OsString> {
    let mut asks = false;
    let mut position = 0;
    while let Some(word) = words.get(position).and_then(|word| word.to_str()) {
        match word {
            "help" => {
                words.remove(position);
                asks = true;
            }
            "--" => break,
            option if WITH_VALUE.contains(&option) => position += 2,
            option if option.starts_with('-') => position += 1,
            group if GROUPS.contains(&group) => position += 1,
            _ => break,
        }
    }
    if asks {
        words.push("--help".into());
    }
    words
}

/// The format of messages that was asked for on a command line that cannot be parsed.
pub(crate) fn log_format(words: &[OsString]) -> LogFormat {
    let words = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut format = LogFormat::Text;
    let mut is_value = false;
    for word in words {
        let value = if is_value { Some(word) } else { word.strip_prefix("--log-format=") };
        format = value.and_then(|value| LogFormat::from_str(value, false).ok()).unwrap_or(format);
        is_value = word == "--log-format";
    }
    format
}

/// Help and version go to stdout with exit code 0; everything else that clap reports is a usage error.
pub(crate) fn report(ui: &Ui, mut error: clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            ui.help(&error.render().to_string()).unwrap_or_else(|failure| exit::of_error(ui, &failure))
        }
        _ => {
            suggest(&mut error);
            ui.usage_error(&error.render().to_string())
        }
    }
}

/// Leaves only suggestions that do no harm, and adds where the command is that was typed.
fn suggest(error: &mut clap::Error) {
    let names = match error.remove(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => names,
        Some(ContextValue::String(name)) => vec![name],
        _ => Vec::new(),
    };
    let harmless: Vec<String> = names.into_iter().filter(|name| SUGGESTED.contains(&name.as_str())).collect();
    // With it, `prune` removes more.
    if matches!(error.get(ContextKind::SuggestedArg), Some(ContextValue::String(name)) if name == "--all") {
        error.remove(ContextKind::SuggestedArg);
    }
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    // Such a tip names an option of a subcommand, whichever it is.
    tips.retain(|tip| !tip.to_string().contains(" exists"));
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) => elsewhere(typed),
        _ => None,
    };
    match typed {
        Some(tip) => tips.push(tip.into()),
        None if !harmless.is_empty() => {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(harmless));
        }
        None => {}
    }
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

/// Which program or command does what was typed, if it is known.
fn elsewhere(typed: &str) -> Option<String> {
    if OF_BOOTC.contains(&typed) {
        return Some(format!("this is a command of bootc: run `bootc {typed}`"));
    }
    match typed {
        "image" => Some(format!("leave out `image`, for example: {OWN_NAME} list")),
        "images" | "ls" => Some(format!("list the images with: {OWN_NAME} list")),
        _ => {
            let is_podmans = TABLES.iter().any(|table| table.spellings().any(|name| name == typed));
            is_podmans.then(|| {
                format!(
                    "podman's image commands run with `{OWN_NAME} cmd`; list them with: {OWN_NAME} cmd --help"
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    fn parsed(words: &str) -> Vec<String> {
        let words = asking_for_help(words.split_whitespace().map(OsString::from).collect());
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn help_can_be_asked_for_in_front() {
        for (typed, expected) in [
            ("help", "--help"),
            ("help help", "--help"),
            ("help list", "list --help"),
            ("help cmd pull", "cmd pull --help"),
            ("help policy explain", "policy explain --help"),
            ("policy help explain", "policy explain --help"),
            ("--sysroot help help list", "--sysroot help list --help"),
            ("-q help prune", "-q prune --help"),
            // Names and podman's arguments are left alone.
            ("plugin show help", "plugin show help"),
            ("cmd help pull", "cmd help pull"),
            ("remove help", "remove help"),
            ("-- help", "-- help"),
        ] {
            assert_eq!(parsed(typed).join(" "), expected, "{typed}");
        }
    }

    #[test]
    fn the_format_of_messages_is_known_although_nothing_else_is() {
        let format =
            |words: &str| log_format(&words.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        for words in ["x --log-format json nonsense", "x nonsense --log-format=json"] {
            assert_eq!(format(words), LogFormat::Json, "{words}");
        }
        for words in ["x json", "x -- --log-format=json", "x --log-format=yaml", "x --log-format"] {
            assert_eq!(format(words), LogFormat::Text, "{words}");
        }
    }

    /// What somebody types who means one of these words: a letter too few, too many, another one, two exchanged, or cut short.
    fn typing_errors(word: &str) -> BTreeSet<String> {
        let letters: Vec<char> = word.chars().collect();
        let mut wrong = BTreeSet::new();
        for at in 0..letters.len() {
            let (before, after) = letters.split_at(at);
            let with =
                |middle: &[char], after: &[char]| [before, middle, after].concat().iter().collect::<String>();
            wrong.insert(with(&[], &after[1..]));
            wrong.insert(with(&[], &[]));
            for letter in ['a', 'e', 'm', 'n', 'r', 's', 'z', '-'] {
                wrong.insert(with(&[letter], after));
                wrong.insert(with(&[letter], &after[1..]));
            }
            if let [first, second, rest @ ..] = after {
                wrong.insert(with(&[*second, *first], rest));
            }
        }
        wrong.insert(format!("{word}s"));
        wrong.insert(word.to_uppercase());
        wrong.retain(|typed| !typed.is_empty() && !typed.starts_with('-'));
        wrong
    }

    /// The text of the error, with the typed words replaced; none if there is no error.
    fn error(words: &[&str]) -> Option<String> {
        let all: Vec<OsString> =
            std::iter::once("x").chain(words.iter().copied()).map(OsString::from).collect();
        let mut error = parse(&all).err()?;
        suggest(&mut error);
        let mut text = error.render().to_string();
        for word in words {
            text = text.replace(&format!("'{word}'"), "'TYPED'");
        }
        Some(text)
    }

    #[test]
    fn nothing_that_removes_is_ever_suggested() {
        let mut words: BTreeSet<String> =
            Arguments::command().get_subcommands().map(|known| known.get_name().to_owned()).collect();
        words.extend(OF_BOOTC.map(str::to_owned));
        words.extend(TABLES.iter().flat_map(|table| table.spellings()).map(str::to_owned));
        words.extend(
            [
                "delete",
                "del",
                "erase",
                "clean",
                "cleanup",
                "gc",
                "purge",
                "rmi",
                "rm",
                "untag",
                "revoke",
                "approve",
                "uninstall",
            ]
            .map(str::to_owned),
        );
        let typed: BTreeSet<String> =
            words.iter().flat_map(|word| typing_errors(word)).chain(words.clone()).collect();
        assert!(typed.len() > 3000, "{}", typed.len());
        let (mut errors, mut suggestions) = (0, 0);
        for word in &typed {
            let word = word.as_str();
            for words in [&[word][..], &["plugin", word], &["policy", word], &["policy", "explain", word]] {
                let Some(text) = error(words) else { continue };
                errors += 1;
                let tips = text.lines().filter(|line| line.trim_start().starts_with("tip: "));
                for tip in tips {
                    suggestions += 1;
                    for harmful in ["remove", "prune", "rm", "rmi", "untag", "revoke", "approve", "--all"] {
                        let is_named = tip
                            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                            .any(|part| part == harmful);
                        assert!(!is_named, "{words:?}: {tip}");
                    }
                }
            }
        }
        // There are suggestions.
        assert!(errors > 8000 && suggestions > 500, "{errors} {suggestions}");
        for (words, suggested) in
            [(&["lst"][..], "'list'"), (&["plugin", "doctr"], "'doctor'"), (&["cmmd"], "'cmd'")]
        {
            let text = error(words).unwrap();
            assert!(text.contains(&format!("tip: a similar subcommand exists: {suggested}")), "{text}");
        }
        for words in [&["prune", "--al"][..], &["--al", "prune"], &["--", "prune"]] {
            let text = error(words).unwrap();
            assert!(!text.contains("exists"), "{words:?}: {text}");
        }
    }

    #[test]
    fn a_command_of_bootc_or_podman_is_named_with_its_program() {
        for (typed, expected) in [
            ("upgrade", "tip: this is a command of bootc: run `bootc upgrade`"),
            ("status", "tip: this is a command of bootc: run `bootc status`"),
            ("image", "tip: leave out `image`, for example: bootc-image list"),
            ("images", "tip: list the images with: bootc-image list"),
            (
                "rmi",
                "tip: podman's image commands run with `bootc-image cmd`; list them with: bootc-image cmd --help",
            ),
        ] {
            let text = error(&[typed]).unwrap();
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("\n\n\n"), "{text}");
        }
        let text = error(&["prnue"]).unwrap();
        assert!(!text.contains("tip:") && !text.contains("\n\n\n"), "{text}");
    }
}
