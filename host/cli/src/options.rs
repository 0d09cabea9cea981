//! Options that every command takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// Options that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Physical root of another system; its default deployment stands for the booted one
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) sysroot: Option<PathBuf>,
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
