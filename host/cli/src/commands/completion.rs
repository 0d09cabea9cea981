use clap::{Args, ValueEnum};

use crate::exit::Failure;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Complete commands in this bash session
  source <(bootc-image completion bash)
  # Install the completion for fish
  bootc-image completion fish >~/.config/fish/completions/bootc-image.fish";

/// Print a shell completion script
///
/// The script completes subcommands, options, images, plugins, formats and files. It asks bootc-image for them whenever you press
/// the Tab key, so it does not have to be printed again after plugins or images change. Only what you may read is shown.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Completion {
    /// Choose the shell
    #[arg(value_enum)]
    shell: Shell,
}

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
    pub(crate) fn run(&self, ui: &Ui) -> Result<u8, Failure> {
        ui.text(match self.shell {
            Shell::Bash => include_str!("../completion/bootc-image.bash"),
            Shell::Fish => include_str!("../completion/bootc-image.fish"),
            Shell::Zsh => include_str!("../completion/bootc-image.zsh"),
        })
    }
}
