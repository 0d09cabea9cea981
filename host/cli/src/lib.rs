//! The command line of bootc-image: arguments become a request, the core's report becomes output. Nothing is decided here.
//!
//! ```text
//! argv --arguments--> Request --core's Pipeline--> Report --render--> Ui --> stdout
//! environment --settings--> Settings                Error ----------> Ui --> stderr, exit code
//! ```

mod arguments;
mod bootc;
mod commands;
mod exit;
mod limits;
mod render;
mod settings;
mod start;
mod status;
mod stdout;
mod streams;
mod ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use bootc_image_core::audit::FileRecorder;
use bootc_image_core::error::{Error, interruption_first};
use bootc_image_core::operation::Request;
use bootc_image_core::pipeline::Pipeline;
use bootc_image_core::report::Report;
use bootc_image_engine::{Builtin, PluginSet};
use bootc_image_model::settings::Settings;
use bootc_image_os::children;
use bootc_image_stores::export::HelperExporter;
use clap::Parser as _;
use rustix::process::Rlimit;

use crate::arguments::{Arguments, Command, Operation};
use crate::exit::{FAILED, Failure, OK, PRINTED_INSTEAD, UNUSABLE};
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
    let result = settings::resolve(&arguments.global, builtins, directory, arguments.command.about())
        .and_then(|(settings, surroundings)| {
            // It ends with the process: to take a runtime apart, and to wait for its clock, would take a tenth of a millisecond.
            let plugins: &PluginSet = Box::leak(Box::new(PluginSet::new(surroundings)));
            if arguments.command.about() == About::Plugins && settings.sysroot.is_some() {
                with_pipeline(ui, &settings, plugins, |pipeline| pipeline.refuse_delegated("--sysroot"))?;
            }
            match arguments.command {
                Command::Operation(operation) => operate(ui, &settings, plugins, operation, &mut origin),
                Command::Completion(completion) => {
                    tell_broken(ui, &settings, UNUSABLE, completion.run(ui, plugins))
                }
                Command::Plugin(plugin) if plugin.only_looks() => {
                    tell_broken(ui, &settings, UNUSABLE, plugin.run(ui, &settings, plugins))
                }
                Command::Plugin(plugin) => plugin.run(ui, &settings, plugins),
                Command::Policy(policy) => policy.run(ui, &settings, plugins),
            }
        });
    let code = result.unwrap_or_else(|failure| match failure {
        Failure::Core(error) => exit::of_error(ui, &interruption_first(error).into()),
        failure => exit::of_error(ui, &failure),
    });
    (origin, code)
}

/// Does what policies judge.
fn operate(
    ui: &Ui,
    settings: &Settings,
    plugins: &PluginSet,
    operation: Operation,
    origin: &mut Origin,
) -> Result<u8, Failure> {
    let help = match &operation {
        Operation::Cmd(cmd) => cmd.help(plugins)?,
        Operation::List(list) => list.help(plugins)?,
        _ => None,
    };
    if let Some(help) = help {
        return tell_broken(ui, settings, UNUSABLE, ui.text(&help));
    }
    let (request, format) = operation.into_request(plugins)?;
    let goes_on = !request.acts() && !settings.dry_run;
    let done = through_pipeline(ui, settings, plugins, request).and_then(|report| {
        if matches!(report, Report::Exited { .. }) {
            *origin = Origin::Podman;
        }
        render::report(ui, plugins, report, &format)
    });
    if goes_on { tell_broken(ui, settings, FAILED, done) } else { done }
}

/// What only looks goes on with what could be read of the configuration, and says what is wrong with it. `code` is its exit code
/// then, if nothing else went wrong. Everything else the pipeline refuses.
fn tell_broken(ui: &Ui, settings: &Settings, code: u8, done: Result<u8, Failure>) -> Result<u8, Failure> {
    let Some(why) = &settings.configuration.broken else { return done };
    let error = Error::Configuration(why.clone());
    ui.error(&error, error.hint().as_deref());
    done.map(|done| if matches!(done, OK | PRINTED_INSTEAD) { code } else { done })
}

/// The only way to do anything.
fn through_pipeline(
    ui: &Ui,
    settings: &Settings,
    plugins: &PluginSet,
    request: Request,
) -> Result<Report, Failure> {
    with_pipeline(ui, settings, plugins, |pipeline| Ok(pipeline.run(request)?))
}

/// Puts the pipeline together.
fn with_pipeline<T>(
    ui: &Ui,
    settings: &Settings,
    plugins: &PluginSet,
    work: impl FnOnce(&Pipeline<'_>) -> T,
) -> T {
    let exporter = HelperExporter { directories: settings.programs.clone() };
    let recorder = FileRecorder::new(settings.state.join("audit"));
    work(&Pipeline { settings, plugins, exporter: &exporter, recorder: &recorder, talk: ui })
}
