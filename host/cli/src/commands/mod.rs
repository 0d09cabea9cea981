//! The commands, one file each: the arguments, whose doc comments are the help texts, how they become a request, and how the
//! report is shown.

mod cmd;
mod complete;
mod completion;
mod copy_to_storage;
mod exists;
mod explain;
mod list;
mod plugin;
mod policy;
mod prune;
mod pull_from_default_storage;
mod remove;
mod repair;
mod set_unified;

use std::os::fd::RawFd;

use bootc_image_core::error::Error;
use bootc_image_core::ops::{Report, Request};
use bootc_image_core::pipeline::Answer;
use bootc_image_engine::PluginSet;
use clap::{Parser, Subcommand};

use crate::exit::{self, FAILED, Failure, OK, UNUSABLE};
use crate::options::Global;
use crate::render::{self, ListFormat};
use crate::session::Session;
use crate::settings::About;
use crate::status::Origin;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # List all images of this host
  bootc-image list
  # Copy the booted image to podman's storage
  bootc-image copy-to-storage
  # Show which policies allow a pull, without running it
  bootc-image policy explain cmd pull quay.io/example/app:1";

/// List, copy, pull and remove the images of a bootc host, and run podman under policy
///
/// A bootc host keeps container images in its ostree repository (type `host`) and in bootc's own container storage (type
/// `unified`). Its OS image also lists logically bound images (type `logical`). bootc-image works on these storages alongside
/// bootc. Policies judge every operation before it runs. Every operation that changes something is written to the audit record.
#[derive(Debug, Parser)]
#[command(name = "bootc-image", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The descriptor to which the result is written, if the user named one.
    pub(crate) fn status_fd(&self) -> Option<RawFd> {
        match &self.command {
            Command::Operation(Operation::Cmd(cmd)) => cmd.status_fd,
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Operation(Operation),
    Completion(completion::Completion),
    #[command(hide = true)]
    Complete(complete::Complete),
    Plugin(plugin::Plugin),
    Policy(policy::Policy),
}

impl Command {
    /// Whether it never writes to stderr: somebody is typing there.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Complete(_))
    }

    pub(crate) fn about(&self) -> About {
        match self {
            Self::Plugin(plugin) if plugin.only_looks() => About::Plugins,
            Self::Policy(policy) if policy.is_test() => About::Plugins,
            _ => About::Images,
        }
    }
}

/// The commands that policies judge.
#[derive(Debug, Subcommand)]
pub(crate) enum Operation {
    List(list::List),
    Exists(exists::Exists),
    CopyToStorage(copy_to_storage::CopyToStorage),
    PullFromDefaultStorage(pull_from_default_storage::PullFromDefaultStorage),
    SetUnified(set_unified::SetUnified),
    Remove(remove::Remove),
    Prune(prune::Prune),
    Repair(repair::Repair),
    Cmd(cmd::Cmd),
}

impl Operation {
    /// The request, and the format in which a list is printed.
    fn into_request(self, plugins: &PluginSet) -> Result<(Request, ListFormat), Failure> {
        Ok(match self {
            Self::List(list) => list.into_request(plugins),
            Self::Exists(exists) => (exists.into(), ListFormat::default()),
            Self::CopyToStorage(copy) => (copy.into(), ListFormat::default()),
            Self::PullFromDefaultStorage(pull) => (pull.into(), ListFormat::default()),
            Self::SetUnified(set) => (set.into(), ListFormat::default()),
            Self::Remove(remove) => (remove.into(), ListFormat::default()),
            Self::Prune(prune) => (prune.into(), ListFormat::default()),
            Self::Repair(repair) => (repair.into(), ListFormat::default()),
            Self::Cmd(cmd) => (cmd.into_request()?, ListFormat::default()),
        })
    }

    /// The help text, if the user asked for one that includes what plugins provide.
    fn help(&self, plugins: &PluginSet) -> Result<Option<String>, Failure> {
        match self {
            Self::Cmd(cmd) => cmd.help(plugins),
            Self::List(list) => Ok(list.help(plugins)?),
            _ => Ok(None),
        }
    }

    fn run(self, session: &Session<'_>, origin: &mut Origin) -> Result<u8, Failure> {
        let Session { ui, settings, plugins } = *session;
        if let Some(help) = self.help(plugins)? {
            return report_broken(session, UNUSABLE, ui.help(&help));
        }
        let (request, format) = self.into_request(plugins)?;
        let continues = !request.acts() && !settings.dry_run;
        // The exit code 1 of `exists` is an answer.
        let broken = if matches!(request, Request::Exists(_)) { UNUSABLE } else { FAILED };
        let done = session.run(&request).and_then(|answer| {
            if matches!(answer, Answer::Done(Report::Exited { .. })) {
                *origin = Origin::Podman;
            }
            show(ui, plugins, answer, &format)
        });
        if continues { report_broken(session, broken, done) } else { done }
    }
}

impl Command {
    pub(crate) fn run(self, session: &Session<'_>, origin: &mut Origin) -> Result<u8, Failure> {
        match self {
            Self::Operation(operation) => operation.run(session, origin),
            Self::Completion(completion) => completion.run(session.ui),
            Self::Complete(complete) => complete.run(session),
            Self::Plugin(plugin) if plugin.only_looks() => {
                report_broken(session, UNUSABLE, plugin.run(session))
            }
            Self::Plugin(plugin) => plugin.run(session),
            Self::Policy(policy) => policy.run(session),
        }
    }
}

/// Commands that change nothing continue with the configuration that could be read, and report what is wrong with it. They then
/// exit with `code`, unless something else went wrong. The pipeline refuses all other commands.
fn report_broken(session: &Session<'_>, code: u8, done: Result<u8, Failure>) -> Result<u8, Failure> {
    let configuration = &session.settings.configuration;
    let Some(why) = &configuration.broken else { return done };
    let error = Error::Configuration { why: why.clone(), fix: configuration.fix.clone() };
    session.ui.error(&error, error.hint().as_deref(), code);
    done.map(|done| if matches!(done, OK | FAILED) { code } else { done })
}

/// Shows the answer to a request; returns the exit code.
fn show(ui: &Ui, plugins: &PluginSet, answer: Answer, format: &ListFormat) -> Result<u8, Failure> {
    match answer {
        Answer::NothingToDo => Ok(OK),
        Answer::Done(report) => show_report(ui, plugins, report, format),
        Answer::Several(reports) => {
            // A report that cannot be shown must not keep the others from being shown: its failure is returned at the end.
            let (mut codes, mut interrupted, mut unshown) = (Vec::new(), None, None);
            for report in reports {
                match report {
                    Ok(report) => match show_report(ui, plugins, report, format) {
                        Ok(code) => codes.push(code),
                        Err(failure) => unshown = Some(failure),
                    },
                    Err(problem) => {
                        let was_asked_to_end = problem.interrupted_by().is_some();
                        let code = exit::of_error(ui, &problem.into());
                        codes.push(code);
                        interrupted = interrupted.or(was_asked_to_end.then_some(code));
                    }
                }
            }
            unshown.map_or(Ok(exit::of_several(&codes, interrupted)), Err)
        }
        // One JSON document per operation: whoever named several images knows how many documents to expect.
        Answer::Judged(judged) => {
            let codes = judged.iter().map(|judged| render::judged(ui, judged));
            codes.collect::<Result<Vec<_>, _>>().map(|codes| codes.into_iter().max().unwrap_or(OK))
        }
    }
}

fn show_report(ui: &Ui, plugins: &PluginSet, report: Report, format: &ListFormat) -> Result<u8, Failure> {
    match report {
        Report::Listing(listing) => render::listing(ui, plugins, listing, format),
        Report::Existence(existence) => exists::show(ui, &existence),
        Report::Copied(copied) => copy_to_storage::show(ui, &copied),
        Report::Pulled(pulled) => pull_from_default_storage::show(ui, &pulled),
        Report::Removed(removal) => remove::show(ui, &removal),
        Report::Repaired(repaired) => repair::show(ui, &repaired),
        Report::Exited { code } => Ok(code),
        Report::Approved(granted) => plugin::show_approved(ui, &granted),
        Report::Revoked(revoked) => plugin::show_revoked(ui, &revoked),
    }
}
