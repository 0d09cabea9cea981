//! Claims `list`, plans a build.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct Unclaimed;

impl Command for Unclaimed {
    fn plan(_name: &str, _args: &[String]) -> Result<Plan, Failure> {
        Ok(Plan::run(["build", "/"]))
    }
}

export_command!(Unclaimed);
