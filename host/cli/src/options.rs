//! Options that every command takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// The section of the help that has them, below a command's own options.
const HEADING: &str = "Global options";

/// Options that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Use the system whose physical root is DIR, not the running host; its default deployment (the first in the boot menu) is
    /// used as if it were booted
    ///
    /// Policies, configuration and audit record stay those of the running host. Only `plugin list`, `plugin show`, `plugin doctor` and
    /// `policy test` use those of DIR.
    ///
    /// Denied by default if you became root through sudo, pkexec, doas or a setuid program: run it from a root login.
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub(crate) sysroot: Option<PathBuf>,
    /// Run nothing; show as JSON what would run, with tags replaced by digests, and whether each check and policy allows it (tags
    /// are still resolved in their registry)
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) dry_run: bool,
    /// Hide progress; errors, warnings and notes are still shown
    #[arg(long, short, global = true, help_heading = HEADING)]
    pub(crate) quiet: bool,
    /// Increase log verbosity (-v info, -vv debug, -vvv trace); RUST_LOG overrides it
    #[arg(long, short, action = ArgAction::Count, global = true, help_heading = HEADING)]
    pub(crate) verbose: u8,
    /// Choose the format of log lines on stderr
    #[arg(
        long,
        value_enum,
        default_value_t = LogFormat::Text,
        value_name = "FORMAT",
        global = true,
        help_heading = HEADING
    )]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}
