//! Where the programs are that cargo built.

use std::path::{Path, PathBuf};

/// Overrides the directory that holds `bootc-image`, `bootc-image-helper` and `labtool`.
const PROGRAMS: &str = "BOOTC_IMAGE_PROGRAMS";

/// The root of a machine whose programs worlds have instead of this one's.
const MACHINE: &str = "BOOTC_IMAGE_MACHINE";

/// The root of the machine whose programs show through in worlds. As it was given, from the root of the workspace, where cargo
/// is called; tests run elsewhere.
pub fn machine() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os(MACHINE).map_or_else(|| "/".into(), |machine| workspace.join(machine))
}

/// A program of this workspace as users get it but for LTO (`scripts/build.sh lab`), if it has been built.
pub fn lab(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(PROGRAMS).map_or_else(|| target().join("lab"), PathBuf::from);
    Some(directory.join(name)).filter(|program| program.exists())
}

/// As [`lab`], for what a test can't do without.
pub fn required(name: &str) -> PathBuf {
    lab(name).unwrap_or_else(|| panic!("{name} hasn't been built: run `make lab` first"))
}

/// A program with switches, from mutated sources (`scripts/mutants.sh`): `bootc-image-with` is `bootc-image`, also with other
/// plugins, and `bootc-image-native-with` is what it starts instead of `bootc-image-native` for one of the switches.
pub fn mutated(name: &str) -> PathBuf {
    let program = target().join("mutants").join(name);
    assert!(program.exists(), "{} is missing: run `make mutants` first", program.display());
    program
}

/// A program of this crate, which cargo puts next to the tests.
pub fn ours(name: &str) -> PathBuf {
    built(profile().join(name))
}

/// An example of this crate: a program that is built for tests only.
pub fn example(name: &str) -> PathBuf {
    built(profile().join("examples").join(name))
}

fn built(program: PathBuf) -> PathBuf {
    assert!(
        program.exists(),
        "{} is missing: run `make lab`, then `cargo test -p bootc-image-tests`",
        program.display()
    );
    program
}

/// The target directory of the build that this process comes from.
pub fn target() -> PathBuf {
    profile().parent().expect("the profile directory is in the target directory").to_owned()
}

/// `target/debug` or the like: tests are in its `deps`, programs in itself.
fn profile() -> PathBuf {
    let executable = std::env::current_exe().expect("the kernel knows our executable");
    let directory = executable.parent().expect("an executable is in a directory");
    let profile = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    profile.map(Path::to_owned).expect("deps is in the profile directory")
}
