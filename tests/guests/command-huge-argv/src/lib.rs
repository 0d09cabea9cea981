//! Plans a list with more arguments than fit: of 2 MiB as a rule, of 8 MiB if it has an argument.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct HugeArgv;

impl Command for HugeArgv {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        let words = if args.is_empty() { 2 << 10 } else { 8 << 10 };
        let word = "x".repeat(1 << 10);
        Ok(Plan::run(std::iter::once(name).chain(std::iter::repeat_n(word.as_str(), words))))
    }
}

export_command!(HugeArgv);
