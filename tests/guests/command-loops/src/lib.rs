//! Never returns.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct Loops;

impl Command for Loops {
    fn plan(_name: &str, _args: &[String]) -> Result<Plan, Failure> {
        loop {
            std::hint::black_box(());
        }
    }
}

export_command!(Loops);
