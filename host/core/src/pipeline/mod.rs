//! The one way to do anything (D3).

mod approve;
mod asked;
mod assumed;
mod built;
mod cmd;
mod copy;
mod fetched;
mod full_disk;
mod heal;
mod in_use;
mod list;
mod loaded;
mod local;
mod looks;
mod native;
mod needs;
mod pull;
mod remove;
mod repair;
mod set_unified;
mod storages;
mod systems;

use bootc_image_os::error::Error as OsError;
use std::cell::{Cell, RefCell};
use std::path::Path;

use crate::audit::{Outcome, Recorder};
use crate::error::{Error, interruption_first};
use crate::frozen::Frozen;
use crate::operation::{Operation, Request};
use crate::plugin::{CommandClaim, Host, PlanError, Plugins};
use crate::policy::{Approved, Judged, delegated_denial, early_denial, validators};
use crate::report::Report;
use bootc_image_model::denial::{By, Denial};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::settings::{Place, Settings};
use bootc_image_model::subject::Subject;
use bootc_image_os::children;
use bootc_image_os::mounts::make_writable;
use bootc_image_os::root::RootDir;
use bootc_image_os::talk::Talk;
use bootc_image_stores::default_store;
use bootc_image_stores::export::Exporter;

pub use assumed::Assumed;
pub(crate) use native::is_native;

/// The physical root of a booted system.
const SYSROOT: &str = "/sysroot";

/// Everything that operations need of the world.
pub struct Pipeline<'a> {
    /// What the outside says.
    pub settings: &'a Settings,
    /// Who plans commands.
    pub plugins: &'a dyn Plugins,
    /// Who writes OCI directories.
    pub exporter: &'a dyn Exporter,
    /// Who keeps the record.
    pub recorder: &'a dyn Recorder,
    /// Who hears what is going on.
    pub talk: &'a dyn Talk,
}

impl Pipeline<'_> {
    /// Resolves, judges, records and runs a request.
    ///
    /// # Errors
    /// [`Error`]. A denial, and every failure before execution, has touched nothing; but what a plugin asked for before that is
    /// done, and recorded. [`OsError::Interrupted`] outranks what went wrong after we were asked to end.
    pub fn run(&self, request: Request) -> Result<Report, Error> {
        let report = self.begin(request).map_err(interruption_first);
        if self.settings.root
            && !self.settings.dry_run
            && let Some(waiting) = self.recorder.waiting()
        {
            self.talk.note(&waiting);
        }
        let report = report?;
        match &report {
            // A policy that was interrupted has no opinion, and a storage that wasn't waited for has no fault.
            Report::Judged(_) => children::check_not_asked_to_end()?,
            Report::Listing(listing) if !listing.problems.is_empty() => children::check_not_asked_to_end()?,
            _ => {}
        }
        Ok(report)
    }

    fn begin(&self, request: Request) -> Result<Report, Error> {
        if request.acts() || self.settings.dry_run {
            self.refuse_broken()?;
        }
        if request.acts() && !self.settings.root {
            return Err(Error::NeedsRoot);
        }
        if request.acts() {
            self.tell_missed(&request);
        }
        let subject = self.settings.subject.clone();
        let (configuration, sysroot) = (&self.settings.configuration, self.settings.sysroot.as_deref());
        early_denial(configuration, &subject, sysroot).map_err(|denial| self.denied(&subject, denial))?;
        match request {
            Request::List { image_type, details } => {
                let operation = Operation::List { image_type, details };
                self.read(Frozen::new(operation, subject, self.settings.sysroot.clone()))
            }
            Request::CopyToStorage { source, target } => {
                let operation = copy::resolve(self, source.as_deref(), target.as_deref())?;
                self.act_if_allowed(self.judge(operation, subject))
            }
            Request::PullFromDefaultStorage { images } => {
                let operations = images.iter().map(|image| pull::resolve(self, image));
                self.act_on_all(operations.collect::<Result<_, _>>()?, &subject)
            }
            Request::SetUnified => {
                let operation = set_unified::resolve(self)?;
                self.act_if_allowed(self.judge(operation, subject))
            }
            Request::Remove { images } => self.act_on_all(remove::resolve(self, &images)?, &subject),
            Request::Prune { all } => self.act_on_all(remove::resolve_prune(self, all)?, &subject),
            Request::Repair { images, all } => {
                let (operations, failed) = repair::resolve(self, &images, all)?;
                self.act_on_most(operations, failed, &subject)
            }
            Request::Cmd { name, args } => self.cmd(&name, &args, subject),
            Request::ApprovePlugin { plugin, mandatory } => self.approve_plugin(&plugin, mandatory, subject),
            Request::RevokePlugin { plugin } => {
                let plugin = PluginId::new(&plugin)
                    .map_err(|error| Error::NoSuchPlugin { name: plugin, hint: error.to_string() })?;
                self.act_if_allowed(self.judge(Operation::RevokePlugin { plugin }, subject))
            }
        }
    }

    /// Refuses a caller who is root on another's behalf what reads a file of their choice.
    ///
    /// # Errors
    /// The [`Denial`], which is recorded.
    pub fn refuse_delegated(&self, what: &str) -> Result<(), Error> {
        let subject = &self.settings.subject;
        delegated_denial(subject, what).map_err(|denial| self.denied(subject, denial))
    }

    /// Judges what the request would be if names meant what `assumed` says. Nothing is looked up, nothing runs, nothing is
    /// recorded: this is for a site's own tests of its policies.
    ///
    /// # Errors
    /// [`Error`] if the request makes no sense by itself, or there is no whole configuration to judge by.
    pub fn suppose(&self, request: &Request, assumed: &Assumed) -> Result<Vec<Judged>, Error> {
        self.refuse_broken()?;
        if let Request::Cmd { name, args } = request {
            return match self.judge_cmd(name, args, assumed.subject.clone(), assumed) {
                Ok((judged, _)) => Ok(judged),
                Err(NotJudged::Nothing | NotJudged::Absent) => Ok(Vec::new()),
                Err(NotJudged::Denied(denied)) => Err(denied.1.into()),
                Err(NotJudged::Failed(error) | NotJudged::LookUp(_, error)) => Err(error),
            };
        }
        let judge = |operation| self.judge(operation, assumed.subject.clone());
        Ok(assumed.operations(request)?.into_iter().map(judge).collect())
    }

    /// Asks the plugin that owns the command for a plan, which then goes the same way as everything else (D3.2).
    fn cmd(&self, name: &str, args: &[String], subject: Subject) -> Result<Report, Error> {
        physical(self.settings)?;
        match self.judge_cmd(name, args, subject.clone(), &cmd::LookedUp(self)) {
            Ok((judged, message)) => {
                if !message.is_empty() {
                    self.talk.note(&message);
                }
                // Who is root for another asks registries with root's credentials, also where nothing is to run.
                if self.settings.dry_run && subject.delegation.is_some() {
                    let looked_up = judged.iter().filter(|judged| judged.frozen().is_resolved());
                    looked_up
                        .into_iter()
                        .try_for_each(|judged| self.record_look_up(judged, &Outcome::DONE))?;
                }
                self.run_all_if_allowed(judged)
            }
            Err(NotJudged::Nothing) => Ok(Report::NothingToDo),
            // As podman says it.
            Err(NotJudged::Absent) => Ok(Report::Exited { code: 1 }),
            Err(NotJudged::Denied(denied)) => Err(self.denied(&denied.0, denied.1)),
            Err(NotJudged::Failed(error)) => Err(error),
            Err(NotJudged::LookUp(judged, error)) => {
                // A registry was asked, with root's credentials.
                self.record_look_up(&judged, &Outcome::of_error(&error))?;
                Err(error)
            }
        }
    }

    fn record_look_up(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error> {
        self.recorder.looked_up(judged, outcome).map_err(|error| Error::Audit(Box::new(error)))
    }

    /// Judges a command twice: as it is named, so that what is refused isn't even looked up, and as what its names mean.
    /// Beside it, what the plugin wants to have said.
    fn judge_cmd(
        &self,
        name: &str,
        args: &[String],
        subject: Subject,
        names: &dyn cmd::Names,
    ) -> Result<(Vec<Judged>, String), NotJudged> {
        let claims = self.plugins.command_claims().map_err(Error::from)?;
        let mut owners = claims.iter().filter(|claim| claim.name == name);
        let (Some(owner), None) = (owners.next(), owners.next()) else {
            // A plugin that can't be read might be the one.
            return Err(match self.plugins.broken() {
                Some(error) => Error::from(error).into(),
                None => {
                    let denial = unclaimed(name, &claims, self.plugins.held(name));
                    NotJudged::Denied(Box::new((subject, denial)))
                }
            });
        };
        let subject = subject.through(&owner.plugin);
        let here = names.here().map(|pipeline| asked::Here {
            pipeline,
            subject: subject.clone(),
            interrupted: Cell::default(),
            judged: RefCell::default(),
        });
        let host: &dyn Host = here.as_ref().map_or(&asked::Nowhere, |here| here);
        let planned = self.plugins.plan(&owner.plugin, name, args, host);
        if let Some(signal) = here.as_ref().and_then(|here| here.interrupted.get()) {
            return Err(Error::from(OsError::Interrupted { signal }).into());
        }
        // In a dry run: what would have been copied, whatever became of the plan.
        let asked = here.map(|here| here.judged.into_inner()).unwrap_or_default();
        if let (Err(PlanError::Denied { .. } | PlanError::Failed { .. }), false) =
            (&planned, asked.is_empty())
        {
            self.talk
                .note("what would follow the copies isn't known: the plugin didn't plan on without them");
            return Ok((asked, String::new()));
        }
        let plan = match planned {
            Ok(plan) => plan,
            Err(PlanError::Denied { code, message, hint }) => {
                let denial = Denial { by: By::Command(owner.plugin.clone()), code, message, hint };
                return Err(NotJudged::Denied(Box::new((subject, denial))));
            }
            Err(other) => return Err(Error::Plan(other).into()),
        };
        let Some((subcommand, args)) = plan.argv.split_first() else {
            if !plan.message.is_empty() {
                self.talk.note(&plan.message);
            }
            return if asked.is_empty() { Err(NotJudged::Nothing) } else { Ok((asked, String::new())) };
        };
        let denied = |denial| NotJudged::Denied(Box::new((subject.clone(), denial)));
        if let Some(request) = native::request(name, subcommand, args).map_err(denied)? {
            let operations = names.native(&request)?;
            let planned = self.judge_all(operations, &subject, &claims);
            return Ok((asked.into_iter().chain(planned).collect(), plan.message));
        }
        let planned = cmd::Planned::parse(name, &owner.plugin, subcommand, args).map_err(denied)?;
        let sysroot = &self.settings.sysroot;
        let frozen = Frozen::unresolved(planned.unresolved(), subject.clone(), sysroot.clone());
        let validators = validators(&self.settings.configuration, claims.clone(), self.plugins);
        let judged = validators.judge(frozen);
        if judged.denial().is_some() {
            return Ok((asked.into_iter().chain([judged]).collect(), plan.message));
        }
        let operation = match planned.resolve(names) {
            Err(Error::Denied(denial)) => return Err(denied(denial)),
            Err(Error::ImageNotFound { .. }) if name == "exists" => return Err(NotJudged::Absent),
            Err(error @ Error::LookUp { .. }) => return Err(NotJudged::LookUp(Box::new(judged), error)),
            resolved => resolved?,
        };
        let judged = validators.judge(Frozen::new(operation, subject, sysroot.clone()));
        Ok((asked.into_iter().chain([judged]).collect(), plan.message))
    }

    /// An act is recorded: before, or nothing runs, and after, also if we are asked to end meanwhile.
    fn act_if_allowed(&self, judged: Judged) -> Result<Report, Error> {
        if self.settings.dry_run {
            return Ok(Report::Judged(vec![judged]));
        }
        self.refuse_denied(&judged)?;
        children::heed_signals()?;
        self.run_recorded(judged)
    }

    /// Several acts: all are judged before the first one runs, and one that is denied denies all.
    fn act_on_all(&self, operations: Vec<Operation>, subject: &Subject) -> Result<Report, Error> {
        self.run_all_if_allowed(self.judge_all(operations, subject, &[]))
    }

    /// As [`Pipeline::act_on_all`], beside what couldn't even become an operation.
    fn act_on_most(
        &self,
        operations: Vec<Operation>,
        failed: Vec<Error>,
        subject: &Subject,
    ) -> Result<Report, Error> {
        let done = self.act_on_all(operations, subject);
        if failed.is_empty() {
            return done;
        }
        if matches!(done, Ok(Report::Judged(_))) {
            failed.iter().for_each(|problem| self.talk.note(&problem.with_causes()));
            return done;
        }
        let mut all = match done {
            Ok(Report::Several(reports)) => reports,
            Ok(Report::NothingToDo) => Vec::new(),
            // A refusal is about all of them.
            Err(error @ Error::Denied(_)) => return Err(error),
            other => vec![other],
        };
        all.extend(failed.into_iter().map(Err));
        Ok(Report::Several(all))
    }

    fn judge_all(
        &self,
        operations: Vec<Operation>,
        subject: &Subject,
        claims: &[CommandClaim],
    ) -> Vec<Judged> {
        let validators = validators(&self.settings.configuration, claims.to_vec(), self.plugins);
        let frozen = |operation| Frozen::new(operation, subject.clone(), self.settings.sysroot.clone());
        operations.into_iter().map(|operation| validators.judge(frozen(operation))).collect()
    }

    fn run_all_if_allowed(&self, judged: Vec<Judged>) -> Result<Report, Error> {
        if self.settings.dry_run {
            return Ok(Report::Judged(judged));
        }
        judged.iter().try_for_each(|judged| self.refuse_denied(judged))?;
        children::heed_signals()?;
        let mut reports = Vec::with_capacity(judged.len());
        for judged in judged {
            reports.push(self.run_recorded(judged));
            if matches!(reports.last(), Some(Err(Error::Os(OsError::Interrupted { .. })))) {
                break;
            }
        }
        match reports.pop() {
            None => Ok(Report::NothingToDo),
            Some(only) if reports.is_empty() => only,
            last => Ok(Report::Several(reports.into_iter().chain(last).collect())),
        }
    }

    fn judge(&self, operation: Operation, subject: Subject) -> Judged {
        let frozen = Frozen::new(operation, subject, self.settings.sysroot.clone());
        validators(&self.settings.configuration, Vec::new(), self.plugins).judge(frozen)
    }

    fn refuse_denied(&self, judged: &Judged) -> Result<(), Error> {
        let Some(denial) = judged.denial() else { return Ok(()) };
        self.record_denial(judged.frozen().subject(), denial, Some(judged));
        // A policy that was interrupted has no opinion, and that isn't its fault.
        children::check_not_asked_to_end()?;
        Err(denial.clone().into())
    }

    fn run_recorded(&self, judged: Judged) -> Result<Report, Error> {
        // Of several, none of the others is wanted once we were asked to end.
        children::check_not_asked_to_end()?;
        let id = self.recorder.intent(&judged).map_err(|error| Error::Audit(Box::new(error)))?;
        self.plugins.rest();
        let result = self.execute(judged.approve()?).map_err(interruption_first);
        if matches!(result, Err(Error::Os(OsError::Child { .. }) | Error::Os(OsError::Interrupted { .. }))) {
            default_store::forget_missing_features();
            default_store::remove_half_made_locks();
        }
        let outcome = Outcome::of(&result);
        let recorded =
            self.recorder.outcome(&id, &outcome).map_err(|error| Error::AuditOutcome(Box::new(error)));
        full_disk::keep_reserve(self.settings);
        match (result, recorded) {
            (Err(error), Err(lost)) => {
                self.talk.note(&lost.with_causes());
                Err(error)
            }
            (result, recorded) => result.and_then(|report| recorded.map(|()| report)),
        }
    }

    fn execute(&self, approved: Approved<Operation>) -> Result<Report, Error> {
        match approved.into_inner() {
            Operation::List { image_type, details } => {
                list::execute(self.settings, image_type, details, self.talk).map(Report::Listing)
            }
            Operation::CopyToStorage { source, target } => copy::execute(self, source, target),
            Operation::PullFromDefaultStorage { source, name } => pull::execute(self, source, name),
            Operation::SetUnified { image, from, name } => set_unified::execute(self, image, from, name),
            Operation::Remove { image } | Operation::Prune { image, .. } => remove::execute(self, image),
            Operation::Repair { image, from } => repair::execute(self, image, &from),
            Operation::Cmd { command, images, .. } => cmd::execute(self, &command, &images),
            Operation::ApprovePlugin { grant } => {
                let file = self.plugins.approve(&grant)?;
                Ok(Report::Approved { grant, file })
            }
            Operation::RevokePlugin { plugin } => {
                let file = self.plugins.revoke(&plugin)?;
                Ok(Report::Revoked { plugin, file })
            }
        }
    }

    fn denied(&self, subject: &Subject, denial: Denial) -> Error {
        self.record_denial(subject, &denial, None);
        denial.into()
    }

    /// A refusal holds whether or not it can be recorded.
    fn record_denial(&self, subject: &Subject, denial: &Denial, judged: Option<&Judged>) {
        if self.settings.dry_run {
            return;
        }
        if let Err(error) = self.recorder.denied(subject, denial, judged) {
            self.talk.note(&format!("the refusal isn't in the audit record: {}", error.with_causes()));
        }
    }
}

/// Why a command came to no verdict.
enum NotJudged {
    /// Its plugin says that nothing is left to do.
    Nothing,
    /// It asks whether an image exists that doesn't.
    Absent,
    /// It was refused before it became an operation.
    Denied(Box<(Subject, Denial)>),
    /// It failed.
    Failed(Error),
    /// What its names mean couldn't be found out, though nobody had objected to asking.
    LookUp(Box<Judged>, Error),
}

impl From<Error> for NotJudged {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn unclaimed(name: &str, claims: &[CommandClaim], held: Option<String>) -> Denial {
    let known: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let hint = match known.as_slice() {
        _ if held.is_some() => held.unwrap_or_default(),
        [] => "no plugin that offers commands is enabled".to_owned(),
        known => format!(
            "a plugin that claims it must be enabled first; those that are claim: {}",
            known.join(", ")
        ),
    };
    Denial {
        by: By::Host("host"),
        code: "unclaimed".to_owned(),
        message: format!("no enabled plugin owns `cmd {}`", shortened(name)),
        hint: Some(hint),
    }
}

/// The beginning of what was typed, harmless.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 64;
    let more = if name.chars().nth(LONGEST).is_some() { "..." } else { "" };
    name.chars().take(LONGEST).collect::<String>().escape_debug().to_string() + more
}

/// The physical root that an operation is about.
fn physical(settings: &Settings) -> Result<RootDir, Error> {
    let path = match (&settings.sysroot, settings.place) {
        (Some(path), _) => path.as_str(),
        (None, Place::Booted) => SYSROOT,
        (None, Place::NotBooted) => return Err(Error::NotBooted),
        (None, Place::Container) => return Err(Error::Container),
    };
    RootDir::open(path).map_err(Error::io("open", path))
}

/// As [`physical`], for operations that write to bootc's storage in it.
fn writable_physical(settings: &Settings) -> Result<RootDir, Error> {
    if settings.sysroot.is_none() && settings.place == Place::Booted {
        make_writable(Path::new(SYSROOT))?;
    }
    physical(settings)
}

/// The running system's own root.
fn running_root() -> Result<RootDir, Error> {
    RootDir::open("/").map_err(Error::io("open", "/"))
}
