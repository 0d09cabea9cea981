//! Explains what would become of a request, also for another caller, and even if a name cannot be resolved. Nothing runs.

use bootc_image_model::configuration::Configuration;
use bootc_image_model::denial::Denial;
use bootc_image_model::settings::Settings;
use bootc_image_model::subject::Subject;
use bootc_image_os::processes;
use bootc_image_stores::host::{Host, physical};

use super::Pipeline;
use super::command::{AnyResolver, CommandError, JudgedCommand};
use crate::audit::Outcome;
use crate::commands::resolver::Live;
use crate::context::Context;
use crate::demands::{Demand, demands};
use crate::error::{Error, interruption_first};
use crate::ops::cmd::Request as CommandRequest;
use crate::ops::{Request, Resolved};
use crate::policy::{Judged, other_caller_denial};

/// What would become of a request.
#[derive(Debug, Default)]
pub struct Explained {
    /// The operations and their verdicts, in order. If a name could not be resolved, the last one has the verdicts on names as written.
    pub judged: Vec<Judged>,
    /// The denial of a request that was denied before it became an operation.
    pub denial: Option<Denial>,
    /// Why a name could not be resolved. The verdict is unknown then.
    pub unresolved: Option<Error>,
}

impl Explained {
    fn denied(denial: Denial) -> Self {
        Self { denial: Some(denial), ..Self::default() }
    }

    /// What `policy.json` demands of the images that an operation fetches.
    pub fn demands(judged: &Judged) -> Vec<Demand> {
        let canonical = judged.canonical();
        demands(canonical.operation(), canonical.is_resolved())
    }
}

impl Pipeline<'_> {
    /// Judges a request for its caller, or as if `other` had made it, and runs nothing. Only root itself can ask about another caller:
    /// others could find out what to do in whose name. That is recorded as an explanation.
    ///
    /// # Errors
    /// [`Error`] if the request cannot be explained: a usage error, a configuration that is not valid, an image that does not exist, an
    /// interruption. Denials are no errors, except that of a delegated caller who asks about another one.
    pub fn explain(&self, request: &Request, other: Option<&Subject>) -> Result<Explained, Error> {
        let settings = self.context.host.settings;
        let asking = &settings.subject;
        if other.is_some() {
            if let Err(denial) = other_caller_denial(asking) {
                return Err(self.record_and_deny(denial));
            }
            if !settings.root {
                return Err(Error::NeedsRoot);
            }
        }
        let assumed = assumed(settings, other);
        let host = Host { settings: &assumed, reporter: self.context.host.reporter };
        let context = Context { host, plugins: self.context.plugins };
        let pipeline = Pipeline { context, recorder: self.recorder };
        let explained = pipeline.explained(request, other.is_some()).map_err(interruption_first);
        if let Some(other) = other {
            self.record_explanation(asking, other, &explained)?;
        }
        let explained = explained?;
        // After an interruption, missing verdicts are its consequences.
        processes::check_interrupted()?;
        Ok(explained)
    }

    /// Unlike other denials of a dry run, this one is recorded: somebody asked about others.
    fn record_and_deny(&self, denial: Denial) -> Error {
        let host = &self.context.host;
        if let Err(error) = self.recorder.denied(&host.settings.subject, &denial, None) {
            let note = format!("the denial cannot be written to the audit record: {}", error.with_causes());
            host.reporter.note(&note);
        }
        denial.into()
    }

    fn explained(&self, request: &Request, for_another: bool) -> Result<Explained, Error> {
        let explained = self.refuse_early(request).and_then(|()| {
            if let Request::Cmd(command) = request {
                return self.explained_command(command, for_another);
            }
            let Resolved { operations, failed } = request.resolve(&self.context)?;
            failed.iter().for_each(|problem| self.context.host.reporter.note(&problem.with_causes()));
            let judged = self.judge(operations, &self.context.host.settings.subject, &[]);
            Ok(Explained { judged, ..Explained::default() })
        });
        match explained {
            Err(Error::Denied(denial)) => Ok(Explained::denied(denial)),
            explained => explained,
        }
    }

    fn explained_command(&self, command: &CommandRequest, for_another: bool) -> Result<Explained, Error> {
        let settings = self.context.host.settings;
        physical(settings)?;
        let is_delegated = settings.subject.delegation.is_some();
        let resolver = AnyResolver::Live(Live::new(&self.context));
        match self.judge_command(command, settings.subject.clone(), &resolver) {
            Ok(JudgedCommand { judged, message }) => {
                if !message.is_empty() {
                    self.context.host.reporter.note(&message);
                }
                // As in a dry run: a registry was contacted with root's credentials.
                if is_delegated && !for_another {
                    self.record_resolutions(&judged, &Outcome::DONE)?;
                }
                Ok(Explained { judged, ..Explained::default() })
            }
            Err(CommandError::NothingToDo | CommandError::ImageAbsent) => Ok(Explained::default()),
            Err(CommandError::Denied(denied)) => Ok(Explained::denied(denied.1)),
            Err(CommandError::Failed(error)) => Err(error),
            Err(CommandError::Unresolved(judged, error)) => {
                if let (Some(last), false) = (judged.last(), for_another) {
                    self.record_resolution(last, &Outcome::of_error(&error))?;
                }
                Ok(Explained { judged, unresolved: Some(*error), ..Explained::default() })
            }
        }
    }

    /// One line for each operation, or one if there is none.
    fn record_explanation(
        &self,
        asking: &Subject,
        other: &Subject,
        explained: &Result<Explained, Error>,
    ) -> Result<(), Error> {
        let write = |judged, denial, outcome: &Outcome| {
            let written = self.recorder.explained(asking, other, judged, denial, outcome);
            written.map_err(|error| Error::Audit(Box::new(error)))
        };
        let explained = match explained {
            Err(error) => return write(None, None, &Outcome::of_error(error)),
            Ok(explained) => explained,
        };
        let outcome = explained.unresolved.as_ref().map_or(Outcome::DONE, Outcome::of_error);
        if explained.judged.is_empty() {
            return write(None, explained.denial.as_ref(), &outcome);
        }
        explained.judged.iter().try_for_each(|judged| write(Some(judged), judged.denial(), &outcome))
    }
}

/// The settings as another caller would have them, in a dry run. Lists that a plugin needs while it plans are not recorded as if that
/// caller had asked for them.
fn assumed(settings: &Settings, other: Option<&Subject>) -> Settings {
    let dry = Settings { dry_run: true, ..settings.clone() };
    let Some(other) = other else { return dry };
    Settings {
        subject: other.clone(),
        root: other.delegation.is_some() || other.uid == Some(0),
        configuration: Configuration { record_reads: false, ..dry.configuration.clone() },
        ..dry
    }
}

#[cfg(test)]
mod tests {
    use bootc_image_model::columns::ListType;
    use bootc_image_model::subject::Delegation;
    use bootc_image_os::reporter::doubles::Heard;

    use super::*;
    use crate::audit::Recorder;
    use crate::ops::list::List;
    use crate::ops::set_unified;
    use crate::pipeline::reads::tests::settings;
    use crate::policy::tests::no_plugins;

    const LIST: Request = Request::List(List { image_type: ListType::Logical, details: false });

    /// Explains in a directory of its own. Returns the result and the lines of the audit record.
    fn explain(
        settings: &Settings,
        request: &Request,
        other: Option<&Subject>,
    ) -> (Result<Explained, Error>, Vec<serde_json::Value>) {
        let scratch = tempfile::tempdir().unwrap();
        let recorder = Recorder::in_directory(scratch.path());
        let (plugins, reporter) = (no_plugins(), Heard::default());
        let context = Context { host: Host { settings, reporter: &reporter }, plugins: &plugins };
        let explained = Pipeline { context, recorder: &recorder }.explain(request, other);
        let text = std::fs::read_to_string(scratch.path().join("audit/audit.jsonl")).unwrap_or_default();
        (explained, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    #[test]
    fn only_root_itself_asks_about_others_and_that_is_recorded() {
        let here = settings(Configuration::default(), false);
        let other = Subject::new(Some(1000), Some(Delegation::Sudo));
        let (explained, lines) = explain(&here, &LIST, Some(&other));
        assert_eq!(explained.unwrap().judged[0].canonical().subject(), &other);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&line["event"], &line["subject"]["uid"]), (&"explained".into(), &0.into()));
        assert_eq!(line["assumed"]["uid"], 1000);
        assert_eq!(line["canonical"]["subject"]["delegation"], "sudo");

        let delegated = Settings { subject: other.clone(), ..here.clone() };
        let (denied, lines) = explain(&delegated, &LIST, Some(&Subject::new(Some(0), None)));
        assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
        assert_eq!((lines.len(), &lines[0]["event"]), (1, &"denied".into()));
        let (explained, lines) = explain(&delegated, &LIST, None);
        assert!(explained.is_ok() && lines.is_empty(), "{explained:?} {lines:?}");

        let user = Settings { root: false, subject: Subject::new(Some(1000), None), ..here.clone() };
        let (refused, lines) = explain(&user, &LIST, Some(&other));
        assert!(matches!(refused, Err(Error::NeedsRoot)) && lines.is_empty(), "{refused:?}");
        // What an ordinary user gets, and that root asked.
        let act = Request::SetUnified(set_unified::Request);
        let (refused, lines) = explain(&here, &act, Some(&Subject::new(Some(1000), None)));
        assert!(matches!(refused, Err(Error::NeedsRoot)), "{refused:?}");
        assert_eq!((&lines[0]["event"], &lines[0]["result"]), (&"explained".into(), &"failed".into()));
    }
}
