//! The command line of bootc-image. It turns arguments into a request and the core's report into output; it decides nothing.
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
use bootc_image_os::processes;
use clap::Parser as _;
use rustix::process::Rlimit;

use crate::commands::Arguments;
use crate::exit::Failure;
use crate::session::Session;
use crate::settings::About;
use crate::status::{Origin, StatusFile};
use crate::ui::Ui;

/// Runs the program with these built-in plugins.
pub fn main(arguments: impl IntoIterator<Item = OsString>, builtins: Vec<Builtin>) -> ExitCode {
    // First: everything else may need more stack than the caller's limit allows.
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
    processes::unblock_signals();
    limits::reset();
    // The caller's umask would end up in images: directories that an archive does not list are created with it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Ui::new(false).finish(|ui| exit::of_parser(ui, &error)),
    };
    ui::start_logging(arguments.global.verbose, arguments.global.log_format, settings::log_filter());
    Ui::new(arguments.global.quiet).finish(|ui| match arguments.status_fd().map(StatusFile::open) {
        None => run(ui, arguments, builtins, directory).1,
        Some(Err(failure)) => exit::of_error(ui, &failure),
        Some(Ok(status)) => {
            // Signals are handled, so that a result is written after one, too. If that fails, nothing is written.
            let _ = processes::record_signals();
            let (origin, code) = run(ui, arguments, builtins, directory);
            match status.write(origin, code) {
                Ok(()) => code,
                Err(source) => exit::of_error(ui, &Failure::Status(source)),
            }
        }
    })
}

/// Runs the command; returns the exit code and where it comes from.
fn run(ui: &Ui, arguments: Arguments, builtins: Vec<Builtin>, directory: Option<PathBuf>) -> (Origin, u8) {
    let mut origin = Origin::Host;
    let about = arguments.command.about();
    let result = settings::resolve(&arguments.global, builtins, directory, about).and_then(
        |(settings, surroundings)| {
            // Leaked on purpose: dropping the runtimes and stopping their timer takes a tenth of a millisecond.
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
