//! `bootc-image` with other plugins than the built-in ones: those named in `BOOTC_IMAGE_TEST_PLUGINS`, separated by commas,
//! `builtin` being the built-in ones. `scripts/mutants.sh` builds it from mutated sources (`../switches.diff`): the check that
//! `BOOTC_IMAGE_WITHOUT` names is off. Everything else is the program that users get.

use std::process::ExitCode;

use bootc_image_engine::{Builtin, builtins};
use bootc_image_test_guests::guest;

fn main() -> ExitCode {
    let names = std::env::var("BOOTC_IMAGE_TEST_PLUGINS").unwrap_or_default();
    let plugins = names.split(',').filter(|name| !name.is_empty()).flat_map(|name| -> Vec<Builtin> {
        if name == "builtin" { builtins() } else { vec![guest(name).expect("a guest of that name")] }
    });
    bootc_image::main(std::env::args_os(), plugins.collect())
}
