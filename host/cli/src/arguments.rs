//! What can be typed.

use std::os::fd::RawFd;

use bootc_image_core::operation::Request;
use bootc_image_core::plugin::Plugins;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    cmd, completion, copy_to_storage, list, plugin, policy, prune, pull_from_default_storage, remove, repair,
    set_unified,
};
use crate::exit::Failure;
use crate::render::ListFormat;
use crate::settings::About;

/// The images of a bootc host: list, copy, pull, and podman under policy.
///
/// A bootc host keeps container images in its ostree repository (host), in bootc's own container storage (unified), and
/// names some that it needs (logical). bootc-image works on these stores beside bootc. Every operation is judged before it
/// runs, and every operation that changes something is recorded.
#[derive(Debug, Parser)]
#[command(name = "bootc-image", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Where how it ended is to be written, if anywhere.
    pub(crate) fn status_fd(&self) -> Option<RawFd> {
        match &self.command {
            Command::Operation(Operation::Cmd(cmd)) => cmd.status_fd,
            _ => None,
        }
    }
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Physical root of another system; its default deployment stands for the booted one
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) sysroot: Option<std::path::PathBuf>,
    /// Print what would be judged and how, as JSON, and run nothing; what a tag means is asked of its registry
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say more on stderr; twice: still more. RUST_LOG has the last word
    #[arg(long, short, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT", global = true)]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Operation(Operation),
    Completion(completion::Completion),
    Plugin(plugin::Plugin),
    Policy(policy::Policy),
}

impl Command {
    /// What it looks at.
    pub(crate) fn about(&self) -> About {
        match self {
            Self::Plugin(plugin) if plugin.only_looks() => About::Plugins,
            Self::Policy(policy) if policy.is_test() => About::Plugins,
            _ => About::Images,
        }
    }
}

/// What policies judge.
#[derive(Debug, Subcommand)]
pub(crate) enum Operation {
    List(list::List),
    CopyToStorage(copy_to_storage::CopyToStorage),
    PullFromDefaultStorage(pull_from_default_storage::PullFromDefaultStorage),
    SetUnified(set_unified::SetUnified),
    Remove(remove::Remove),
    Prune(prune::Prune),
    Repair(repair::Repair),
    Cmd(cmd::Cmd),
}

impl Operation {
    /// What is asked for, and how a listing shall look.
    pub(crate) fn into_request(self, plugins: &dyn Plugins) -> Result<(Request, ListFormat), Failure> {
        Ok(match self {
            Self::List(list) => list.into_request(plugins),
            Self::CopyToStorage(copy) => (copy.into_request(), ListFormat::default()),
            Self::PullFromDefaultStorage(pull) => (pull.into_request(), ListFormat::default()),
            Self::SetUnified(set) => (set.into_request(), ListFormat::default()),
            Self::Remove(remove) => (remove.into_request(), ListFormat::default()),
            Self::Prune(prune) => (prune.into_request(), ListFormat::default()),
            Self::Repair(repair) => (repair.into_request(), ListFormat::default()),
            Self::Cmd(cmd) => (cmd.into_request()?, ListFormat::default()),
        })
    }
}
