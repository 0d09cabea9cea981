//! What can be typed. One file a command: its arguments, whose comments are its help, how they become a request, and how what
//! became of it is shown.

mod cmd;
mod completion;
mod copy_to_storage;
mod exists;
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

use crate::exit::{self, FAILED, Failure, OK, PRINTED_INSTEAD, UNUSABLE};
use crate::options::Global;
use crate::render::{self, ListFormat};
use crate::session::Session;
use crate::settings::About;
use crate::status::Origin;
use crate::ui::Ui;

/// The images of a bootc host: list, copy, pull, and podman under policy.
///
/// A bootc host keeps container images in its ostree repository (host), in bootc's own container storage (unified), and
/// names some that it needs (logical). bootc-image works on these stores beside bootc. Every operation is judged before it
/// runs, and every operation that changes something is recorded.
#[derive(Debug, Parser)]
#[command(name = "bootc-image", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Where how it ended is to be written, if anywhere.
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
    Plugin(plugin::Plugin),
    Policy(policy::Policy),
}

impl Command {
    /// What it looks at.
    pub(crate) fn about(&self) -> About {
        match self {
            Self::Plugin(plugin) if plugin.only_looks() => About::Plugins,
            Self::Policy(policy) if policy.is_test() => About::Plugins,
            _ => About::Images,
        }
    }
}

/// What policies judge.
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
    /// The request that was typed, and the format in which a list is printed.
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

    /// The help that was asked for, if it was one that plugins have a part in.
    fn help(&self, plugins: &PluginSet) -> Result<Option<String>, Error> {
        match self {
            Self::Cmd(cmd) => cmd.help(plugins),
            Self::List(list) => list.help(plugins),
            _ => Ok(None),
        }
    }

    /// Does what policies judge.
    fn run(self, session: &Session<'_>, origin: &mut Origin) -> Result<u8, Failure> {
        let Session { ui, settings, plugins } = *session;
        if let Some(help) = self.help(plugins)? {
            return tell_broken(session, UNUSABLE, ui.text(&help));
        }
        let (request, format) = self.into_request(plugins)?;
        let goes_on = !request.acts() && !settings.dry_run;
        // Of `exists` 1 is an answer.
        let broken = if matches!(request, Request::Exists(_)) { UNUSABLE } else { FAILED };
        let done = session.run(&request).and_then(|answer| {
            if matches!(answer, Answer::Done(Report::Exited { .. })) {
                *origin = Origin::Podman;
            }
            show(ui, plugins, answer, &format)
        });
        if goes_on { tell_broken(session, broken, done) } else { done }
    }
}

impl Command {
    pub(crate) fn run(self, session: &Session<'_>, origin: &mut Origin) -> Result<u8, Failure> {
        match self {
            Self::Operation(operation) => operation.run(session, origin),
            Self::Completion(completion) => {
                tell_broken(session, UNUSABLE, completion.run(session.ui, session.plugins))
            }
            Self::Plugin(plugin) if plugin.only_looks() => {
                tell_broken(session, UNUSABLE, plugin.run(session))
            }
            Self::Plugin(plugin) => plugin.run(session),
            Self::Policy(policy) => policy.run(session),
        }
    }
}

/// What only looks goes on with what could be read of the configuration, and says what is wrong with it. `code` is its exit code
/// then, if nothing else went wrong. Everything else the pipeline refuses.
fn tell_broken(session: &Session<'_>, code: u8, done: Result<u8, Failure>) -> Result<u8, Failure> {
    let Some(why) = &session.settings.configuration.broken else { return done };
    let error = Error::Configuration(why.clone());
    session.ui.error(&error, error.hint().as_deref());
    done.map(|done| if matches!(done, OK | FAILED | PRINTED_INSTEAD) { code } else { done })
}

/// Shows what became of a request; returns the exit code.
fn show(ui: &Ui, plugins: &PluginSet, answer: Answer, format: &ListFormat) -> Result<u8, Failure> {
    match answer {
        Answer::NothingToDo => Ok(OK),
        Answer::Done(report) => show_report(ui, plugins, report, format),
        Answer::Several(reports) => {
            // What can't be shown is told in the end: of the others each says how it went.
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
        // A JSON document each: the caller of a command that takes several names knows how many.
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
