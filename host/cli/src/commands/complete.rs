//! What can be typed next, for the scripts that `completion` prints. It reads manifests and lists of images, and runs nothing.
//!
//! The first line of the output is `:words`, `:files` or `:directories`. After `:words`, each line is a word, a tab, and a
//! description.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;

use bootc_image_core::names;
use bootc_image_core::plugin::Plugins as _;
use bootc_image_engine::PluginSet;
use bootc_image_engine::formats::Formats as _;
use bootc_image_engine::sanitize;
use bootc_image_grammar::{Arity, Flag, Kind, table};
use bootc_image_model::columns::ListType;
use bootc_image_model::settings::Settings;
use clap::{Arg, Args, CommandFactory as _, ValueEnum as _};

use super::Arguments;
use super::cmd::is_usable;
use crate::exit::Failure;
use crate::render::Format;
use crate::session::Session;
use crate::settings;

/// Print what can be typed next, for completion scripts
#[derive(Debug, Args)]
pub(crate) struct Complete {
    /// The words after the name of the program, as typed; the last one is completed
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Complete {
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<u8, Failure> {
        let words: Vec<&str> = self.words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
        let (current, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
        let root = Arguments::command();
        let mut position = Position::new(&root);
        before.iter().for_each(|word| position.pass(word));
        let Session { ui, settings, plugins } = *session;
        let sysroot = position.sysroot.map(|sysroot| {
            settings::absolute(sysroot.as_ref(), settings.directory.as_deref()).unwrap_or_default()
        });
        let settings = Settings { sysroot: sysroot.or(settings.sysroot.clone()), ..settings.clone() };
        ui.text(&position.next(current, &Known { settings: &settings, plugins }).printed(current))
    }
}

/// What may follow.
enum Next {
    Files,
    Directories,
    Words(Vec<(String, String)>),
}

impl Next {
    fn printed(self, current: &str) -> String {
        let words = match self {
            Self::Files => return ":files\n".to_owned(),
            Self::Directories => return ":directories\n".to_owned(),
            Self::Words(words) => words,
        };
        let mut text = ":words\n".to_owned();
        for (word, description) in words {
            if word.starts_with(current) && is_plain(&word) {
                let description = sanitize::sanitize(&description);
                let _ = writeln!(text, "{word}\t{}", description.replace('\t', " "));
            }
        }
        text
    }
}

/// Whether a shell takes the word as it is. Somebody else chose the names of images, and bash inserts them unquoted.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@=+,".contains(c))
}

/// An option whose value comes next.
#[derive(Clone, Copy)]
enum Value<'a> {
    Ours(&'a Arg),
    Podmans(&'static Flag),
}

/// How far the command line has been read.
struct Position<'a> {
    root: &'a clap::Command,
    command: &'a clap::Command,
    /// The subcommand of `cmd`, whose arguments are podman's.
    podmans: Option<&'a str>,
    operands: usize,
    only_operands: bool,
    /// After `help`, only commands follow.
    help: bool,
    waiting: Option<Value<'a>>,
    sysroot: Option<&'a str>,
}

impl<'a> Position<'a> {
    fn new(root: &'a clap::Command) -> Self {
        Self {
            root,
            command: root,
            podmans: None,
            operands: 0,
            only_operands: false,
            help: false,
            waiting: None,
            sysroot: None,
        }
    }

    fn pass(&mut self, word: &'a str) {
        if let Some(value) = self.waiting.take() {
            if matches!(value, Value::Ours(option) if option.get_id() == "sysroot") {
                self.sysroot = Some(word);
            }
        } else if self.only_operands {
            self.operands += 1;
        } else if word == "--" {
            self.only_operands = true;
        } else if word.starts_with('-') && word.len() > 1 {
            self.sysroot = word.strip_prefix("--sysroot=").or(self.sysroot);
            self.waiting = self.option(word);
        } else if word == "help" && self.operands == 0 && (self.has_commands() || self.is_cmd()) {
            self.help = true;
        } else if self.is_cmd() {
            self.podmans = Some(word);
        } else {
            match self.command.find_subcommand(word).filter(|_| self.operands == 0 && self.podmans.is_none())
            {
                Some(command) => self.command = command,
                None => self.operands += 1,
            }
        }
    }

    fn has_commands(&self) -> bool {
        self.command.has_subcommands()
    }

    /// Whether a subcommand of `cmd` comes next.
    fn is_cmd(&self) -> bool {
        self.command.get_name() == "cmd" && self.podmans.is_none()
    }

    /// The option whose value is the next word, if the word ends in one.
    fn option(&self, word: &str) -> Option<Value<'a>> {
        if let Some(name) = word.strip_prefix("--") {
            return self.long(name);
        }
        for (at, letter) in word.char_indices().skip(1) {
            if let Some(option) = self.short(letter) {
                return (at + letter.len_utf8() == word.len()).then_some(option);
            }
        }
        None
    }

    /// The option with this long name, if it needs a value.
    fn long(&self, name: &str) -> Option<Value<'a>> {
        match self.podmans {
            Some(podmans) => table(podmans)?.long(name).filter(|flag| needs_value(flag)).map(Value::Podmans),
            None => self.options().find(|option| option.get_long() == Some(name)).and_then(with_value),
        }
    }

    fn short(&self, letter: char) -> Option<Value<'a>> {
        match self.podmans {
            Some(podmans) => {
                table(podmans)?.short(letter).filter(|flag| needs_value(flag)).map(Value::Podmans)
            }
            None => self.options().find(|option| option.get_short() == Some(letter)).and_then(with_value),
        }
    }

    /// Our options of the command, and those that every command takes.
    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let command = self.command;
        let is_root = std::ptr::eq(self.command, self.root);
        let global = self.root.get_arguments().filter(move |option| option.is_global_set() && !is_root);
        command
            .get_arguments()
            .chain(global)
            .filter(|option| !option.is_positional() && !option.is_hide_set())
    }

    fn next(&self, current: &str, known: &Known<'_>) -> Next {
        if let Some(value) = self.waiting {
            return self.value(value, current, known);
        }
        if !self.only_operands {
            if let Some((name, typed)) = current.strip_prefix("--").and_then(|option| option.split_once('='))
            {
                let Some(value) = self.long(name) else { return Next::Words(Vec::new()) };
                return match self.value(value, typed, known) {
                    Next::Words(words) => Next::Words(
                        words.into_iter().map(|(word, about)| (format!("--{name}={word}"), about)).collect(),
                    ),
                    // Completing a part of a word as a file is left to the shell, which cannot do it for all options.
                    _ => Next::Words(Vec::new()),
                };
            }
            if current.starts_with('-') {
                return Next::Words(self.option_names(known));
            }
        }
        if let Some(podmans) = self.podmans {
            if self.help {
                return Next::Words(Vec::new());
            }
            let operand = table(podmans).and_then(|table| table.operand(self.operands));
            return operand.map_or(Next::Words(Vec::new()), |operand| known.of_kind(operand.kind));
        }
        if self.is_cmd() {
            return Next::Words(with_help(known.subcommands(), self.help));
        }
        if self.has_commands() {
            let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            let words = commands.map(|command| (command.get_name().to_owned(), text(command.get_about())));
            return Next::Words(with_help(words.collect(), self.help));
        }
        let operands: Vec<&Arg> = self.command.get_arguments().filter(|arg| arg.is_positional()).collect();
        let is_last = |arg: &&&Arg| matches!(arg.get_action(), clap::ArgAction::Append);
        match operands.get(self.operands).or_else(|| operands.last().filter(is_last)) {
            Some(operand) if !self.help => self.value(Value::Ours(operand), current, known),
            _ => Next::Words(Vec::new()),
        }
    }

    fn option_names(&self, known: &Known<'_>) -> Vec<(String, String)> {
        let mut words: Vec<(String, String)> = match self.podmans {
            Some(podmans) => known.podmans_options(podmans),
            None => {
                let named =
                    |option: &Arg| Some((format!("--{}", option.get_long()?), text(option.get_help())));
                self.options().filter_map(named).collect()
            }
        };
        if words.iter().all(|(word, _)| word != "--help") {
            words.push(("--help".to_owned(), "Print help".to_owned()));
        }
        words
    }

    fn value(&self, value: Value<'a>, current: &str, known: &Known<'_>) -> Next {
        let option = match value {
            Value::Podmans(flag) => return known.of_kind(flag.kind),
            Value::Ours(option) => option,
        };
        let values = option.get_possible_values();
        if !values.is_empty() {
            let shown = values.iter().filter(|value| !value.is_hide_set());
            return Next::Words(
                shown.map(|value| (value.get_name().to_owned(), text(value.get_help()))).collect(),
            );
        }
        let images = |names: BTreeSet<String>| {
            // A name of an image on this host is found without its transport, too.
            let named = |name: String| match name.strip_prefix("docker://") {
                Some(short) if !current.starts_with("docker:") => short.to_owned(),
                _ => name,
            };
            Next::Words(names.into_iter().map(named).map(|name| (name, String::new())).collect())
        };
        match (option.get_id().as_str(), self.command.get_name()) {
            ("sysroot", _) => Next::Directories,
            ("file", _) => Next::Files,
            ("format", "list") => Next::Words(known.formats()),
            ("plugin", _) => Next::Words(known.plugins()),
            ("images", "pull-from-default-storage") => images(names::in_podmans_storage(known.settings)),
            ("image", _) | ("source", "copy-to-storage") => {
                images(names::listed(known.settings, ListType::Host))
            }
            ("images", _) => images(names::listed(known.settings, ListType::Unified)),
            _ => Next::Words(Vec::new()),
        }
    }
}

fn with_help(mut words: Vec<(String, String)>, asked: bool) -> Vec<(String, String)> {
    if !asked {
        words.push(("help".to_owned(), "Print the help of a subcommand".to_owned()));
    }
    words
}

fn with_value(option: &Arg) -> Option<Value<'_>> {
    option.get_action().takes_values().then_some(Value::Ours(option))
}

fn needs_value(flag: &Flag) -> bool {
    matches!(flag.arity, Arity::One | Arity::Many)
}

/// The first line of a help text.
fn text(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// What there is on this host.
struct Known<'a> {
    settings: &'a Settings,
    plugins: &'a PluginSet,
}

impl Known<'_> {
    fn of_kind(&self, kind: Kind) -> Next {
        match kind {
            Kind::Source | Kind::PathRead | Kind::PathWrite => Next::Files,
            Kind::Reference | Kind::Full | Kind::Remote | Kind::Local | Kind::Destination => {
                let names = names::listed(self.settings, ListType::Unified);
                Next::Words(names.into_iter().map(|name| (name, String::new())).collect())
            }
            Kind::Plain | Kind::Filter | Kind::Secret | Kind::SecretFile | Kind::HostResource => {
                Next::Words(Vec::new())
            }
        }
    }

    fn subcommands(&self) -> Vec<(String, String)> {
        let provided = self.plugins.provided_commands().unwrap_or_default();
        provided.into_iter().map(|command| (command.name, command.summary)).collect()
    }

    fn podmans_options(&self, subcommand: &str) -> Vec<(String, String)> {
        let provided = self.plugins.provided_commands().unwrap_or_default();
        let Some(command) = provided.iter().find(|command| command.name == subcommand) else {
            return Vec::new();
        };
        let granted = self.plugins.granted(&command.plugin);
        let flags = table(subcommand).map(|table| table.flags).unwrap_or_default();
        let usable = flags.iter().filter(|flag| is_usable(flag, &granted) && !flag.help.is_empty());
        usable.map(|flag| (format!("--{}", flag.name), flag.help.to_owned())).collect()
    }

    fn formats(&self) -> Vec<(String, String)> {
        let own = Format::value_variants().iter().filter_map(Format::to_possible_value);
        let own = own.map(|value| (value.get_name().to_owned(), text(value.get_help())));
        let claims = self.plugins.format_claims().unwrap_or_default();
        let of_plugins = claims.into_iter().map(|claim| {
            let name = if claim.argument.is_some() { format!("{}=", claim.name) } else { claim.name };
            (name, claim.summary)
        });
        own.chain(of_plugins).collect()
    }

    fn plugins(&self) -> Vec<(String, String)> {
        let plugins = self.plugins.look().plugins.values();
        plugins
            .map(|plugin| {
                let manifest = &plugin.manifest;
                (manifest.id.to_string(), format!("{} {}", manifest.component.world.kind(), manifest.version))
            })
            .collect()
    }
}
