//! The pipeline that every operation passes through: resolve, judge, record, execute.

mod command;
mod explain;
mod missing_policies;
mod reads;
mod requested;

use bootc_image_model::denial::Denial;
use bootc_image_model::subject::Subject;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes;
use bootc_image_stores::default_store;
use bootc_image_stores::images::full_disk;

use crate::assumed::Assumed;
use crate::audit::{Outcome, Recorder};
use crate::canonical::CanonicalOperation;
use crate::context::Context;
use crate::error::{Error, interruption_first};
use crate::ops::exists::Existence;
use crate::ops::{Operation, Report, Request, Resolved};
use crate::plugin::ProvidedCommand;
use crate::policy::{Judged, file_denial, plugins_denial, sysroot_denial, validators};
pub use explain::Explained;

/// Runs requests.
pub struct Pipeline<'a> {
    pub context: Context<'a>,
    /// Writes the audit record.
    pub recorder: &'a Recorder,
}

/// The result of a request.
#[derive(Debug)]
pub enum Answer {
    NothingToDo,
    /// The report of the only operation.
    Done(Report),
    /// The results of several operations, in order.
    Several(Vec<Result<Report, Error>>),
    /// With `--dry-run`: the operations that would have run, with their verdicts.
    Judged(Vec<Judged>),
}

impl Pipeline<'_> {
    /// Resolves, judges, records and runs a request.
    ///
    /// # Errors
    /// [`Error`]. A denial, or a failure before execution, has changed nothing, except that operations which a plugin requested while
    /// it planned have run and are recorded. An interruption takes precedence over errors that follow it.
    pub fn run(&self, request: &Request) -> Result<Answer, Error> {
        let answer = self.answer(request).map_err(interruption_first);
        if self.context.host.settings.root
            && !self.context.host.settings.dry_run
            && let Some(waiting) = self.recorder.waiting()
        {
            self.context.host.reporter.note(&waiting);
        }
        let answer = answer?;
        // After an interruption, missing verdicts and problems with a storage are its consequences.
        let may_be_interrupted = match &answer {
            Answer::Judged(_) | Answer::Done(Report::Existence(Existence::Unknown(_))) => true,
            Answer::Done(Report::Listing(listing)) => !listing.problems.is_empty(),
            _ => false,
        };
        if may_be_interrupted {
            processes::check_interrupted()?;
        }
        Ok(answer)
    }

    fn answer(&self, request: &Request) -> Result<Answer, Error> {
        self.refuse_early(request)?;
        let subject = self.context.host.settings.subject.clone();
        if let Request::Cmd(command) = request {
            return self.command(command, subject);
        }
        let Resolved { operations, failed } = request.resolve(&self.context)?;
        let judged = self.judge(operations, &subject, &[]);
        if !request.acts() {
            return self.read(judged);
        }
        self.act(judged, failed)
    }

    /// Checks that need nothing of the host.
    fn refuse_early(&self, request: &Request) -> Result<(), Error> {
        let settings = self.context.host.settings;
        if request.acts() || settings.dry_run {
            self.refuse_broken()?;
        }
        if request.acts() && !settings.root {
            return Err(Error::NeedsRoot);
        }
        if request.acts() {
            self.report_missed(request);
        }
        let (subject, sysroot) = (&settings.subject, settings.sysroot.as_deref());
        let denied = |denial| self.denied(subject, denial);
        sysroot_denial(&settings.configuration, subject, sysroot).map_err(denied)?;
        // Resolving an approval compiles the component and creates an instance of it.
        if matches!(request, Request::ApprovePlugin(_)) {
            plugins_denial(&settings.configuration, subject).map_err(denied)?;
        }
        Ok(())
    }

    /// Denies a delegated caller a command that reads a file of the caller's choice.
    ///
    /// # Errors
    /// [`Error::Denied`], which is recorded.
    pub fn refuse_delegated(&self, what: &str) -> Result<(), Error> {
        let subject = &self.context.host.settings.subject;
        file_denial(subject, what).map_err(|denial| self.denied(subject, denial))
    }

    /// Judges a request with names resolved to assumed values, for a site's tests of its policies. No registry is contacted, nothing
    /// runs, and nothing is recorded.
    ///
    /// # Errors
    /// [`Error`] if the request is a usage error, or the configuration is not valid.
    pub fn judge_assumed(&self, request: &Request, assumed: &Assumed) -> Result<Vec<Judged>, Error> {
        self.refuse_broken()?;
        if let Request::Cmd(command) = request {
            return self.judge_assumed_command(command, assumed);
        }
        Ok(self.judge(request.assume(assumed)?, &assumed.subject, &[]))
    }

    fn judge(
        &self,
        operations: Vec<Operation>,
        subject: &Subject,
        claims: &[ProvidedCommand],
    ) -> Vec<Judged> {
        let settings = self.context.host.settings;
        let validators = validators(&settings.configuration, claims.to_vec(), self.context.plugins);
        let canonical =
            |operation| CanonicalOperation::new(operation, subject.clone(), settings.sysroot.clone());
        operations.into_iter().map(|operation| validators.judge(canonical(operation))).collect()
    }

    /// Runs operations if all of them are allowed, and adds the errors of images for which there is no operation.
    fn act(&self, judged: Vec<Judged>, failed: Vec<Error>) -> Result<Answer, Error> {
        if self.context.host.settings.dry_run {
            failed.iter().for_each(|problem| self.context.host.reporter.note(&problem.with_causes()));
            return Ok(Answer::Judged(judged));
        }
        judged.iter().try_for_each(|judged| self.refuse_denied(judged))?;
        processes::record_signals()?;
        let mut reports = Vec::with_capacity(judged.len() + failed.len());
        for judged in judged {
            reports.push(self.run_recorded(judged));
            if matches!(reports.last(), Some(Err(Error::Os(OsError::Interrupted { .. })))) {
                break;
            }
        }
        let none_failed = failed.is_empty();
        reports.extend(failed.into_iter().map(Err));
        match reports.pop() {
            None => Ok(Answer::NothingToDo),
            Some(only) if reports.is_empty() && none_failed => only.map(Answer::Done),
            last => Ok(Answer::Several(reports.into_iter().chain(last).collect())),
        }
    }

    fn refuse_denied(&self, judged: &Judged) -> Result<(), Error> {
        let Some(denial) = judged.denial() else { return Ok(()) };
        self.record_denial(judged.canonical().subject(), denial, Some(judged));
        // The denial may only be the consequence of an interrupted policy.
        processes::check_interrupted()?;
        Err(denial.clone().into())
    }

    /// Records the operation before it runs, and its outcome afterwards, also after an interruption. If the first record cannot be
    /// written, nothing runs.
    fn run_recorded(&self, judged: Judged) -> Result<Report, Error> {
        // After an interruption the remaining operations do not run.
        processes::check_interrupted()?;
        let id = self.recorder.intent(&judged).map_err(|error| Error::Audit(Box::new(error)))?;
        self.context.plugins.rest();
        let operation = described(judged.canonical());
        let result = judged.approve()?.execute(&self.context).map_err(interruption_first);
        if matches!(result, Err(Error::Os(OsError::Process { .. } | OsError::Interrupted { .. }))) {
            default_store::forget_missing_features();
            default_store::remove_half_made_locks();
        }
        let outcome = Outcome::of(&result);
        let recorded =
            self.recorder.outcome(&id, &outcome).map_err(|error| Error::AuditOutcome(Box::new(error)));
        full_disk::keep_reserve(self.context.host.settings);
        let result = result.map_err(|error| match error {
            failure @ Error::Os(OsError::Process { .. }) => {
                Error::Incomplete { operation, failure: Box::new(failure) }
            }
            other => other,
        });
        match (result, recorded) {
            (Err(error), Err(lost)) => {
                self.context.host.reporter.note(&lost.with_causes());
                Err(error)
            }
            (result, recorded) => result.and_then(|report| recorded.map(|()| report)),
        }
    }

    fn denied(&self, subject: &Subject, denial: Denial) -> Error {
        self.record_denial(subject, &denial, None);
        denial.into()
    }

    /// The denial stands even if it cannot be recorded.
    fn record_denial(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) {
        if self.context.host.settings.dry_run {
            return;
        }
        if let Err(error) = self.recorder.denied(subject, denial, judged) {
            let note = format!("the denial cannot be written to the audit record: {}", error.with_causes());
            self.context.host.reporter.note(&note);
        }
    }
}

/// The operation and the first of its images, for errors of processes, which name neither.
fn described(canonical: &CanonicalOperation) -> String {
    let kind = canonical.operation().policy_kind();
    let images = canonical.policy_input().map(|policy_input| policy_input.images).unwrap_or_default();
    match images.iter().find_map(|image| image.name.as_ref()) {
        Some(name) => format!("`{kind}` of {}", name.canonical),
        None => format!("`{kind}`"),
    }
}
