//! Puts escapes, bidi and invisible characters wherever text reaches a person: into the message of a plan if it has no
//! arguments, else into a refusal.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command, log};

/// Clears the screen, colours (once with C1), rings, reorders, hides, and begins a line of its own.
const ESCAPES: &str = "\u{1b}[2Ja\u{9b}31mb\u{7}\u{202e}c\u{200b}d\u{e0041}\nerror: forged";

struct Escapes;

impl Command for Escapes {
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure> {
        log::error(ESCAPES);
        if args.is_empty() {
            Ok(Plan::run([name]).with_message(ESCAPES))
        } else {
            Err(Failure::denied(ESCAPES, ESCAPES).with_hint(ESCAPES))
        }
    }
}

export_command!(Escapes);
