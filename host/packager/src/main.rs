//! `package-plugins [--programs DIR] DIRECTORY PACKAGE... [-- CARGO-OPTION...]` builds plugins of the workspace in the current directory,
//! and creates `DIRECTORY/ID` for each, with what is installed on a host: the manifest with the component's digest, the component, and
//! its documentation. A plugin that a host would refuse is not written (docs/adr/0026-what-is-packaged-is-checked.md).

mod arguments;
mod package;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fmt};

use arguments::{Arguments, USAGE};
use bootc_image_plugin_builder::{Builder, Error};
use package::Staged;

/// Why nothing, or not everything, was packaged.
struct Trouble {
    what: String,
    hint: String,
}

impl Trouble {
    fn new(what: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { what: what.to_string(), hint: hint.into() }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers")]
fn main() -> ExitCode {
    let arguments = match Arguments::parse(env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("error: {what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(packaged) => {
            packaged.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(Trouble { what, hint }) => {
            eprintln!("error: {what}\n  hint: {hint}");
            ExitCode::FAILURE
        }
    }
}

/// Builds and checks the plugins, and then writes them. Nothing is written unless all are as they should be and can be written.
fn run(arguments: &Arguments) -> Result<Vec<String>, Trouble> {
    let here = |error: std::io::Error| {
        Trouble::new(format!("cannot find the current directory: {error}"), "change to another one")
    };
    let workspace = env::current_dir().map_err(here)?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    // Without a lock file there is nothing to keep to: cargo writes one.
    let is_locked = arguments.cargo.is_none() && workspace.join("Cargo.lock").is_file();
    let ours = || if is_locked { vec!["--locked".into()] } else { Vec::new() };
    let options = arguments.cargo.clone().unwrap_or_else(ours);
    let packages: Vec<&str> = arguments.packages.iter().map(String::as_str).collect();
    let builder = Builder::new(&workspace, workspace.join(target).join("components")).with_options(options);
    let components = builder.build(&packages).map_err(|error| not_built(&error, is_locked))?;
    let helper = package::helper(arguments.programs.as_deref())?;
    let staged = package::stage(&components, &arguments.directory, &helper);
    let packaged = staged.and_then(|staged| {
        staged.iter().try_for_each(Staged::prepare)?;
        staged.iter().map(Staged::put).collect()
    });
    package::tidy(&arguments.directory);
    packaged
}

fn not_built(error: &Error, is_locked: bool) -> Trouble {
    let hint = match error {
        Error::Cargo { .. } if is_locked => {
            "correct what cargo reports; if Cargo.lock must be updated, run this again with `--` at the end, which lets cargo do so"
        }
        Error::NoModule { .. } => "write crate-type = [\"cdylib\"] below [lib] in its Cargo.toml",
        Error::Componentise { .. } => {
            "call export_policy!, export_format! or export_command! of the SDK exactly once in the plugin's code"
        }
        Error::TargetMissing { .. } | Error::Cargo { .. } => "correct what cargo reports",
        _ => "check that cargo works in this directory: cargo build",
    };
    Trouble::new(error, hint)
}
