//! The one way to do anything (D3): resolve, judge, record, execute.

mod asked;
mod command;
mod missed;
mod reads;

use bootc_image_model::denial::Denial;
use bootc_image_model::subject::Subject;
use bootc_image_os::children;
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::default_store;
use bootc_image_stores::images::full_disk;

use crate::assumed::Assumed;
use crate::audit::{Outcome, Recorder};
use crate::context::Context;
use crate::error::{Error, interruption_first};
use crate::frozen::Frozen;
use crate::ops::exists::Existence;
use crate::ops::{Operation, Report, Request, Resolved};
use crate::plugin::CommandClaim;
use crate::policy::{Judged, delegated_denial, early_denial, validators};

/// The way of requests.
pub struct Pipeline<'a> {
    /// What operations may use of the world.
    pub context: Context<'a>,
    /// Who keeps the record.
    pub recorder: &'a Recorder,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// There was nothing to do.
    NothingToDo,
    /// It was one operation.
    Done(Report),
    /// It was several operations: what became of each, in their order.
    Several(Vec<Result<Report, Error>>),
    /// With `--dry-run`: what would have run.
    Judged(Vec<Judged>),
}

impl Pipeline<'_> {
    /// Resolves, judges, records and runs a request.
    ///
    /// # Errors
    /// [`Error`]. A denial, and every failure before execution, has touched nothing; but what a plugin asked for before that is
    /// done, and recorded. An interruption outranks what went wrong after we were asked to end.
    pub fn run(&self, request: &Request) -> Result<Answer, Error> {
        let answer = self.answer(request).map_err(interruption_first);
        if self.context.host.settings.root
            && !self.context.host.settings.dry_run
            && let Some(waiting) = self.recorder.waiting()
        {
            self.context.host.talk.note(&waiting);
        }
        let answer = answer?;
        // A policy that was interrupted has no opinion, and a storage that wasn't waited for has no fault.
        let may_be_of_that = match &answer {
            Answer::Judged(_) | Answer::Done(Report::Existence(Existence::Unknown(_))) => true,
            Answer::Done(Report::Listing(listing)) => !listing.problems.is_empty(),
            _ => false,
        };
        if may_be_of_that {
            children::check_not_asked_to_end()?;
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

    /// Refuses what can be refused before anything is looked at.
    fn refuse_early(&self, request: &Request) -> Result<(), Error> {
        let settings = self.context.host.settings;
        if request.acts() || settings.dry_run {
            self.refuse_broken()?;
        }
        if request.acts() && !settings.root {
            return Err(Error::NeedsRoot);
        }
        if request.acts() {
            self.tell_missed(request);
        }
        let (subject, sysroot) = (&settings.subject, settings.sysroot.as_deref());
        early_denial(&settings.configuration, subject, sysroot).map_err(|denial| self.denied(subject, denial))
    }

    /// Refuses a caller who is root on another's behalf what reads a file of their choice.
    ///
    /// # Errors
    /// The [`Denial`], which is recorded.
    pub fn refuse_delegated(&self, what: &str) -> Result<(), Error> {
        let subject = &self.context.host.settings.subject;
        delegated_denial(subject, what).map_err(|denial| self.denied(subject, denial))
    }

    /// Judges what the request would be if names meant what `assumed` says. Nothing is looked up, nothing runs, nothing is
    /// recorded: this is for a site's own tests of its policies.
    ///
    /// # Errors
    /// [`Error`] if the request makes no sense by itself, or there is no whole configuration to judge by.
    pub fn suppose(&self, request: &Request, assumed: &Assumed) -> Result<Vec<Judged>, Error> {
        self.refuse_broken()?;
        if let Request::Cmd(command) = request {
            return self.suppose_command(command, assumed);
        }
        Ok(self.judge(request.assume(assumed)?, &assumed.subject, &[]))
    }

    fn judge(&self, operations: Vec<Operation>, subject: &Subject, claims: &[CommandClaim]) -> Vec<Judged> {
        let settings = self.context.host.settings;
        let validators = validators(&settings.configuration, claims.to_vec(), self.context.plugins);
        let frozen = |operation| Frozen::new(operation, subject.clone(), settings.sysroot.clone());
        operations.into_iter().map(|operation| validators.judge(frozen(operation))).collect()
    }

    /// Runs what was judged, unless one of them is denied; and tells of what couldn't even become an operation.
    fn act(&self, judged: Vec<Judged>, failed: Vec<Error>) -> Result<Answer, Error> {
        if self.context.host.settings.dry_run {
            failed.iter().for_each(|problem| self.context.host.talk.note(&problem.with_causes()));
            return Ok(Answer::Judged(judged));
        }
        judged.iter().try_for_each(|judged| self.refuse_denied(judged))?;
        children::heed_signals()?;
        let mut reports = Vec::with_capacity(judged.len() + failed.len());
        for judged in judged {
            reports.push(self.run_recorded(judged));
            if matches!(reports.last(), Some(Err(Error::Os(OsError::Interrupted { .. })))) {
                break;
            }
        }
        let named_alone = failed.is_empty();
        reports.extend(failed.into_iter().map(Err));
        match reports.pop() {
            None => Ok(Answer::NothingToDo),
            Some(only) if reports.is_empty() && named_alone => only.map(Answer::Done),
            last => Ok(Answer::Several(reports.into_iter().chain(last).collect())),
        }
    }

    fn refuse_denied(&self, judged: &Judged) -> Result<(), Error> {
        let Some(denial) = judged.denial() else { return Ok(()) };
        self.record_denial(judged.frozen().subject(), denial, Some(judged));
        // A policy that was interrupted has no opinion, and that isn't its fault.
        children::check_not_asked_to_end()?;
        Err(denial.clone().into())
    }

    /// An act is recorded: before, or nothing runs, and after, also if we are asked to end meanwhile.
    fn run_recorded(&self, judged: Judged) -> Result<Report, Error> {
        // Of several, none of the others is wanted once we were asked to end.
        children::check_not_asked_to_end()?;
        let id = self.recorder.intent(&judged).map_err(|error| Error::Audit(Box::new(error)))?;
        self.context.plugins.rest();
        let result = judged.approve()?.execute(&self.context).map_err(interruption_first);
        if matches!(result, Err(Error::Os(OsError::Child { .. } | OsError::Interrupted { .. }))) {
            default_store::forget_missing_features();
            default_store::remove_half_made_locks();
        }
        let outcome = Outcome::of(&result);
        let recorded =
            self.recorder.outcome(&id, &outcome).map_err(|error| Error::AuditOutcome(Box::new(error)));
        full_disk::keep_reserve(self.context.host.settings);
        match (result, recorded) {
            (Err(error), Err(lost)) => {
                self.context.host.talk.note(&lost.with_causes());
                Err(error)
            }
            (result, recorded) => result.and_then(|report| recorded.map(|()| report)),
        }
    }

    fn denied(&self, subject: &Subject, denial: Denial) -> Error {
        self.record_denial(subject, &denial, None);
        denial.into()
    }

    /// A refusal holds whether or not it can be recorded.
    fn record_denial(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) {
        if self.context.host.settings.dry_run {
            return;
        }
        if let Err(error) = self.recorder.denied(subject, denial, judged) {
            let note = format!("the denial cannot be written to the audit record: {}", error.with_causes());
            self.context.host.talk.note(&note);
        }
    }
}
