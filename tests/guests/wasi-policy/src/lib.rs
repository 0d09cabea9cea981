//! Built for WASI, as other toolchains do: tries what that offers, and tells what came of it.

use std::io::Read as _;

use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy};

struct Tries;

impl Policy for Tries {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "it must lead nowhere")]
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem> {
        println!("on stdout");
        eprintln!("on stderr");
        let mut read = String::new();
        let stdin = std::io::stdin().read_to_string(&mut read).unwrap_or(0);
        let variables = std::env::vars().count();
        let arguments = std::env::args().count();
        let opened = ["/", "/etc/passwd", "."].iter().filter(|path| std::fs::metadata(path).is_ok()).count();
        let written = std::fs::write("/tmp/from-a-policy", "x").is_ok();
        let clock = std::time::SystemTime::now() > std::time::UNIX_EPOCH;
        let words = format!(
            "stdin {stdin}, variables {variables}, arguments {arguments}, opened {opened}, written {written}, clock {clock}"
        );
        if operation.kind == "set-unified" {
            std::process::exit(0);
        }
        Ok(Verdict::allow(words))
    }
}

export_policy!(Tries);
