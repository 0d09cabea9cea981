//! Shows the main jobs of bootc-image on real storage: `demo [--transcript|--shell] [DIRECTORY]`.
//!
//! The directory gets the world that is shown and keeps it. With `--transcript` nothing is printed but the commands and
//! what they print. With `--shell` nothing is shown: a shell runs in a fresh world.

use std::fs::{File, TryLockError};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bootc_image_tests::{World, programs, world};

const COMMANDS: &str = include_str!("demo.sh");

/// The sandbox has no terminal: the shell gets one of its own, connected to the one that is our standard error.
const SHELL: &str =
    "exec script --quiet --return --command \"cd; PS1='# ' exec bash --norc -i\" /dev/null <&2";

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("The demo needs root: it makes namespaces and mounts, in which all of it then runs.");
        return ExitCode::FAILURE;
    }
    let (options, directories): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let (transcript, shell) = (options == ["--transcript"], options == ["--shell"]);
    if directories.len() > 1 || !(transcript || shell || options.is_empty()) {
        eprintln!("Usage: demo [--transcript|--shell] [DIRECTORY]");
        return ExitCode::from(2);
    }
    if shell && !std::io::stderr().is_terminal() {
        eprintln!("A shell needs a terminal.");
        return ExitCode::FAILURE;
    }
    let name = if shell { "shell" } else { "demo" };
    let directory = directories.first().map_or_else(|| world::directory().join(name), PathBuf::from);
    programs::required("bootc-image");
    programs::required("bootc-image-helper");
    // Held until the end: a second one would replace the host of the first.
    let _alone = match lock(&directory) {
        Ok(lock) => lock,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if !transcript {
        eprintln!("A booted bootc host, emulated in {}:\n", directory.display());
    }
    let world = World::kept_at(&directory);
    if shell {
        return in_shell(&world);
    }
    let stay = world.enter().registry(true);
    ExitCode::from(stay.run_in_sight(&["sh", "-euc", COMMANDS]) as u8)
}

/// The lock on a directory. Its file is beside the directory, because a world that is made anew replaces the directory.
fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.with_added_extension("lock");
    let failed = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "The emulated host in {} is in use by another `make shell` or `make demo`. Only one can run at a time in a \
             clone: leave the other one first (a shell with `exit`).",
            directory.display()
        )),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// With everything that `make install` installs, and a directory to bring files in by.
fn in_shell(world: &World) -> ExitCode {
    let share = programs::target().join("share");
    if let Err(error) = std::fs::create_dir_all(&share) {
        eprintln!("{}: {error}", share.display());
        return ExitCode::FAILURE;
    }
    eprintln!("What you put into {} is in /run/share there.", share.display());
    eprintln!("Leave it with `exit`; the next `make shell` starts with a fresh host.\n");
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let enter = world.enter().registry(true).installed().share(&share, "/run/share");
    let enter = enter.env("TERM", &terminal).env("SHELL", "/usr/bin/bash");
    ExitCode::from(enter.run_in_sight(&["sh", "-c", SHELL]) as u8)
}
