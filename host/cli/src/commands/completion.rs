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

const EXAMPLES: &str = "\
Examples:
  # Complete commands in this bash session
  source <(bootc-image completion bash)
  # Install the completion for fish
  bootc-image completion fish >~/.config/fish/completions/bootc-image.fish";

/// Print a shell completion script
///
/// The script includes the formats and subcommands of the plugins that are enabled now. Print it again after plugins change.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Completion {
    /// Choose the shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells for which clap quotes the text of plugins correctly in the script.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// Add to ~/.bashrc: source <(bootc-image completion bash)
    Bash,
    /// Save as ~/.config/fish/completions/bootc-image.fish
    Fish,
    /// Save as _bootc-image in a directory of $fpath
    Zsh,
}

impl Completion {
    /// Reads only manifests. If the set of plugins is broken, what they provide is left out.
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

/// The command line, with the formats and subcommands of plugins.
fn with_plugins(plugins: &PluginSet) -> clap::Command {
    let own = Format::value_variants().iter().filter_map(Format::to_possible_value);
    let of_plugins = plugins.format_claims().unwrap_or_default().into_iter().map(|claim| {
        let name = if claim.argument.is_some() { format!("{}=", claim.name) } else { claim.name };
        name.into()
    });
    let formats = PossibleValuesParser::new(own.chain(of_plugins).collect::<Vec<_>>());
    let subcommands = plugins.provided_commands().unwrap_or_default().into_iter().map(|claim| {
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
