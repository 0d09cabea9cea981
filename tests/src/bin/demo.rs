//! Shows the main jobs of bootc-image on real storage: `demo [--transcript] [DIRECTORY]`.
//!
//! The directory gets the world that is shown and keeps it. With `--transcript` nothing is printed but the commands and
//! what they print.

use std::path::PathBuf;
use std::process::ExitCode;

use bootc_image_tests::{World, programs, world};

const COMMANDS: &str = include_str!("demo.sh");

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("The demo needs root: it makes namespaces and mounts, in which all of it then runs.");
        return ExitCode::FAILURE;
    }
    let (options, directories): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let transcript = options == ["--transcript"];
    if directories.len() > 1 || !(transcript || options.is_empty()) {
        eprintln!("Usage: demo [--transcript] [DIRECTORY]");
        return ExitCode::from(2);
    }
    let directory = directories.first().map_or_else(|| world::directory().join("demo"), PathBuf::from);
    programs::required("bootc-image");
    programs::required("bootc-image-helper");
    if !transcript {
        eprintln!("A booted bootc host, emulated in {}:\n", directory.display());
    }
    let world = World::kept_at(&directory);
    let stay = world.enter().registry(true);
    ExitCode::from(stay.run_in_sight(&["sh", "-euc", COMMANDS]) as u8)
}
