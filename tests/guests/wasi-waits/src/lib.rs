//! Sleeps for longer than it may take, which costs no processor's time.

use std::time::Duration;

use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy};

struct Waits;

impl Policy for Waits {
    fn evaluate(_: &Operation) -> Result<Verdict, Problem> {
        std::thread::sleep(Duration::from_secs(120));
        Ok(Verdict::allow("well rested"))
    }
}

export_policy!(Waits);
