//! The command line of bootc-image. It turns arguments into a request and the core's report into output; it decides nothing.
//!
//! ```text
//! argv --commands--> Request --core's Pipeline--> Answer --commands--> Ui --> stdout
//! environment --settings--> Settings               Error -----------> Ui --> stderr, exit code
//! ```

mod bootc;
mod called;
mod commands;
mod exit;
mod help;
mod limits;
mod options;
mod parser;
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
    let (words, called) = match bootc::ours(arguments, core_limit) {
        Ok(ours) => ours,
        Err(code) => return ExitCode::from(code),
    };
    let directory = start::leave_directory();
    processes::unblock_signals();
    limits::reset();
    // The caller's umask would end up in images: directories that an archive does not list are created with it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments = match parser::parse(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let format = parser::log_format(&words);
            ui::start_logging(0, format, settings::log_filter());
            return Ui::new(false, format, called).finish(|ui| parser::report(ui, error));
        }
    };
    let options::Global { quiet, verbose, log_format, .. } = arguments.global;
    if !arguments.command.is_silent() {
        ui::start_logging(verbose, log_format, settings::log_filter());
    }
    Ui::new(quiet, log_format, called).finish(|ui| match arguments.status_fd().map(StatusFile::open) {
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
