use bootc_image_core::plugin::Plugins as _;
use bootc_image_engine::PluginSet;
use bootc_image_engine::formats::Formats as _;
use bootc_image_grammar::{Arity, Flag, table};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Args, CommandFactory as _, ValueEnum};

use super::Arguments;
use super::cmd::is_usable;
use crate::exit::Failure;
use crate::render::Format;
use crate::ui::Ui;

/// Print a script that completes this program's words in a shell
///
/// It has the formats and subcommands of the plugins that are enabled now.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells in whose scripts what plugins say of themselves stays what it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// In ~/.bashrc: source <(bootc-image completion bash)
    Bash,
    /// bootc-image completion fish >~/.config/fish/completions/bootc-image.fish
    Fish,
    /// Into a directory of $fpath, as _bootc-image
    Zsh,
}

impl Completion {
    /// Prints it. Reads manifests only; what a broken set of plugins would offer isn't completed.
    pub(crate) fn run(&self, ui: &Ui, plugins: &PluginSet) -> Result<u8, Failure> {
        let mut command = with_plugins(plugins);
        let mut script = Vec::new();
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Fish => clap_complete::Shell::Fish,
            Shell::Zsh => clap_complete::Shell::Zsh,
        };
        clap_complete::generate(shell, &mut command, "bootc-image", &mut script);
        ui.text(&String::from_utf8_lossy(&script))
    }
}

/// The command line with what plugins add to it.
fn with_plugins(plugins: &PluginSet) -> clap::Command {
    let own = Format::value_variants().iter().filter_map(Format::to_possible_value);
    let of_plugins = plugins.format_claims().unwrap_or_default().into_iter().map(|claim| {
        let name = if claim.argument.is_some() { format!("{}=", claim.name) } else { claim.name };
        name.into()
    });
    let formats = PossibleValuesParser::new(own.chain(of_plugins).collect::<Vec<_>>());
    let subcommands = plugins.command_claims().unwrap_or_default().into_iter().map(|claim| {
        let flags = table(&claim.name).map(|table| table.flags).unwrap_or_default();
        let granted = plugins.granted(&claim.plugin);
        let usable = flags.iter().filter(|flag| is_usable(flag, &granted) && !flag.help.is_empty());
        clap::Command::new(claim.name).about(claim.summary).args(usable.map(argument))
    });
    Arguments::command()
        .mut_subcommand("list", |list| list.mut_arg("format", |format| format.value_parser(formats)))
        .mut_subcommand("cmd", |cmd| cmd.subcommands(subcommands))
}

fn argument(flag: &Flag) -> Arg {
    let action = if flag.arity == Arity::Switch { ArgAction::SetTrue } else { ArgAction::Append };
    let argument = Arg::new(flag.name).long(flag.name).help(flag.help).action(action);
    match flag.short {
        Some(letter) => argument.short(letter),
        None => argument,
    }
}
