//! The command line of bootc-image: arguments become a request, the core's report becomes output. Nothing is decided here.
//!
//! ```text
//! argv --commands--> Request --core's Pipeline--> Answer --commands--> Ui --> stdout
//! environment --settings--> Settings               Error -----------> Ui --> stderr, exit code
//! ```

mod bootc;
mod commands;
mod exit;
mod limits;
mod options;
mod render;
mod session;
mod settings;
mod start;
mod status;
mod stdout;
mod streams;
mod ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use bootc_image_core::error::interruption_first;
use bootc_image_engine::{Builtin, PluginSet};
use bootc_image_os::children;
use clap::Parser as _;
use rustix::process::Rlimit;

use crate::commands::Arguments;
use crate::exit::Failure;
use crate::session::Session;
use crate::settings::About;
use crate::status::{Origin, StatusFile};
use crate::ui::Ui;

/// Runs the program with the plugins that are built into it.
pub fn main(arguments: impl IntoIterator<Item = OsString>, builtins: Vec<Builtin>) -> ExitCode {
    // Before anything that may need more stack than the caller leaves us.
    let core_limit = start::leave_no_core_file();
    start(arguments.into_iter().collect(), builtins, core_limit)
}

#[inline(never)]
fn start(arguments: Vec<OsString>, builtins: Vec<Builtin>, core_limit: Rlimit) -> ExitCode {
    let arguments = match bootc::ours(arguments, core_limit) {
        Ok(arguments) => arguments,
        Err(code) => return ExitCode::from(code),
    };
    let directory = start::leave_directory();
    children::unblock_signals();
    limits::reset();
    // The caller's would end up in images: what an archive doesn't name is made with it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Ui::new(false).finish(|ui| exit::of_parser(ui, &error)),
    };
    ui::start_logging(arguments.global.verbose, arguments.global.log_format);
    Ui::new(arguments.global.quiet).finish(|ui| match arguments.status_fd().map(StatusFile::open) {
        None => run(ui, arguments, builtins, directory).1,
        Some(Err(failure)) => exit::of_error(ui, &failure),
        Some(Ok(status)) => {
            // The reader of that descriptor learns of every end. If it can't be, a signal is one without a word.
            let _ = children::heed_signals();
            let (origin, code) = run(ui, arguments, builtins, directory);
            match status.write(origin, code) {
                Ok(()) => code,
                Err(source) => exit::of_error(ui, &Failure::Status(source)),
            }
        }
    })
}

/// Runs what was asked for; returns the exit code, and whose it is.
fn run(ui: &Ui, arguments: Arguments, builtins: Vec<Builtin>, directory: Option<PathBuf>) -> (Origin, u8) {
    let mut origin = Origin::Host;
    let about = arguments.command.about();
    let result = settings::resolve(&arguments.global, builtins, directory, about).and_then(
        |(settings, surroundings)| {
            // It ends with the process: to take a runtime apart, and to wait for its clock, would take a tenth of a millisecond.
            let plugins: &PluginSet = Box::leak(Box::new(PluginSet::new(surroundings)));
            let session = Session { ui, settings: &settings, plugins };
            if about == About::Plugins && settings.sysroot.is_some() {
                session.with_pipeline(|pipeline| pipeline.refuse_delegated("--sysroot"))?;
            }
            arguments.command.run(&session, &mut origin)
        },
    );
    let code = result.unwrap_or_else(|failure| match failure {
        Failure::Core(error) => exit::of_error(ui, &interruption_first(error).into()),
        failure => exit::of_error(ui, &failure),
    });
    (origin, code)
}
