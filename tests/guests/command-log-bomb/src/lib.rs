//! Logs without end.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command, log};

struct LogBomb;

impl Command for LogBomb {
    fn plan(_name: &str, _args: &[String]) -> Result<Plan, Failure> {
        let line = "x".repeat(1 << 10);
        loop {
            log::error(&line);
        }
    }
}

export_command!(LogBomb);
