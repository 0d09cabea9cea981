//! Calls itself until the stack is gone: a trap without last words.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct Recurses;

impl Command for Recurses {
    #[expect(unconditional_recursion, reason = "what this guest is for")]
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        let plan = std::hint::black_box(Self::plan)(name, args)?;
        Ok(plan.with_message(name))
    }
}

export_command!(Recurses);
