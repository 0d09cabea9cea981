//! Commands of plugins. They are planned, judged with their names as written, resolved, and judged again with resolved names. No
//! registry is contacted for a command that the first judgement denies (docs/adr/0002-plans-are-planned-before-they-are-judged.md).

use std::cell::{Cell, RefCell};

use bootc_image_grammar::Does;
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::subject::Subject;
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;

use super::requested::{LiveHost, NoHost, shortened};
use super::{Answer, Pipeline};
use crate::assumed::Assumed;
use crate::audit::Outcome;
use crate::canonical::CanonicalOperation;
use crate::commands::planned::Planned;
use crate::commands::resolver::{Live, Resolver};
use crate::commands::spellings::{self, Own};
use crate::error::Error;
use crate::ops::cmd::{Cmd, Request as CommandRequest};
use crate::ops::{Operation, Report, Request, Resolved, prune, remove};
use crate::plugin::{Host, Plan, PlanError, ProvidedCommand};
use crate::policy::{Judged, validators};

/// How names are resolved.
pub(super) enum AnyResolver<'a> {
    /// On this host.
    Live(Live<'a>),
    /// In a test of policies.
    Assumed(&'a Assumed),
}

impl AnyResolver<'_> {
    fn as_dyn(&self) -> &dyn Resolver {
        match self {
            Self::Live(live) => live,
            Self::Assumed(assumed) => *assumed,
        }
    }
}

/// The judged operations of a command, and the plugin's message to the user.
pub(super) struct JudgedCommand {
    pub(super) judged: Vec<Judged>,
    pub(super) message: String,
}

/// Why a command was not judged.
pub(super) enum CommandError {
    /// The plan is empty.
    NothingToDo,
    /// The command tests whether an image exists, and it does not.
    ImageAbsent,
    /// The command was denied before it became an operation.
    Denied(Box<(Subject, Denial)>),
    Failed(Error),
    /// A name cannot be resolved, after the command was allowed as written. It is the last of the judged operations.
    Unresolved(Vec<Judged>, Box<Error>),
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Pipeline<'_> {
    /// Has the plugin that provides the subcommand plan it. The plan then passes through the same pipeline as every operation.
    pub(super) fn command(&self, command: &CommandRequest, subject: Subject) -> Result<Answer, Error> {
        physical(self.context.host.settings)?;
        let is_delegated = subject.delegation.is_some();
        match self.judge_command(command, subject, &AnyResolver::Live(Live::new(&self.context))) {
            Ok(JudgedCommand { judged, message }) => {
                if !message.is_empty() {
                    self.context.host.reporter.note(&message);
                }
                // A delegated caller contacts registries with root's credentials, even in a dry run. So this is recorded.
                if self.context.host.settings.dry_run && is_delegated {
                    self.record_resolutions(&judged, &Outcome::DONE)?;
                }
                self.act(judged, Vec::new())
            }
            Err(CommandError::NothingToDo) => Ok(Answer::NothingToDo),
            // The exit code that podman returns for this.
            Err(CommandError::ImageAbsent) => Ok(Answer::Done(Report::Exited { code: 1 })),
            Err(CommandError::Denied(denied)) => Err(self.denied(&denied.0, denied.1)),
            Err(CommandError::Failed(error)) => Err(error),
            Err(CommandError::Unresolved(judged, error)) => {
                // A registry was contacted with root's credentials.
                if let Some(last) = judged.last() {
                    self.record_resolution(last, &Outcome::of_error(&error))?;
                }
                Err(*error)
            }
        }
    }

    /// As [`Pipeline::judge_assumed`], of a command.
    pub(super) fn judge_assumed_command(
        &self,
        command: &CommandRequest,
        assumed: &Assumed,
    ) -> Result<Vec<Judged>, Error> {
        match self.judge_command(command, assumed.subject.clone(), &AnyResolver::Assumed(assumed)) {
            Ok(JudgedCommand { judged, .. }) => Ok(judged),
            Err(CommandError::NothingToDo | CommandError::ImageAbsent) => Ok(Vec::new()),
            Err(CommandError::Denied(denied)) => Err(denied.1.into()),
            Err(CommandError::Failed(error)) => Err(error),
            Err(CommandError::Unresolved(_, error)) => Err(*error),
        }
    }

    pub(super) fn record_resolutions(&self, judged: &[Judged], outcome: &Outcome) -> Result<(), Error> {
        let mut resolved = judged.iter().filter(|judged| judged.canonical().is_resolved());
        resolved.try_for_each(|judged| self.record_resolution(judged, outcome))
    }

    pub(super) fn record_resolution(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error> {
        self.recorder.resolved(judged, outcome).map_err(|error| Error::Audit(Box::new(error)))
    }

    pub(super) fn judge_command(
        &self,
        command: &CommandRequest,
        subject: Subject,
        resolver: &AnyResolver<'_>,
    ) -> Result<JudgedCommand, CommandError> {
        let claims = self.context.plugins.provided_commands().map_err(Error::from)?;
        let provider = self.provider(&command.name, &claims).map_err(|error| match error {
            NoProvider::Denied(denial) => CommandError::Denied(Box::new((subject.clone(), denial))),
            NoProvider::Unknown(error) => error.into(),
        })?;
        let subject = subject.through(&provider.plugin);
        // In a dry run: the copies that would have been made, even without a plan.
        let (planned, asked) = self.plan(provider, command, &subject, resolver)?;
        let with_asked = |judged: Vec<Judged>, message| {
            let judged = asked.into_iter().chain(judged).collect();
            Ok(JudgedCommand { judged, message })
        };
        let Some(plan) = planned else {
            self.context
                .host
                .reporter
                .note("the dry run stops here: the plugin needs the copied images to plan its next step, and a dry run copies nothing");
            return with_asked(Vec::new(), String::new());
        };
        let Some((subcommand, args)) = plan.argv.split_first() else {
            if !plan.message.is_empty() {
                self.context.host.reporter.note(&plan.message);
            }
            let judged = with_asked(Vec::new(), String::new())?;
            return if judged.judged.is_empty() { Err(CommandError::NothingToDo) } else { Ok(judged) };
        };
        let denied = |denial| CommandError::Denied(Box::new((subject.clone(), denial)));
        if let Some(own) =
            spellings::of_plan(&provider.plugin, &command.name, subcommand, args).map_err(denied)?
        {
            let operations = self.own_operations(own, resolver)?;
            return with_asked(self.judge(operations, &subject, &claims), plan.message);
        }
        let planned = Planned::parse(&command.name, &provider.plugin, subcommand, args).map_err(denied)?;
        match self.judge_planned(&planned, &subject, &claims, resolver) {
            Ok(judged) => with_asked(vec![judged], plan.message),
            Err(CommandError::Unresolved(judged, error)) => {
                let judged = with_asked(judged, String::new())?.judged;
                Err(CommandError::Unresolved(judged, error))
            }
            Err(error) => Err(error),
        }
    }

    /// The plugin that provides a subcommand.
    fn provider<'c>(
        &self,
        name: &str,
        claims: &'c [ProvidedCommand],
    ) -> Result<&'c ProvidedCommand, NoProvider> {
        let mut providers = claims.iter().filter(|claim| claim.name == name);
        if let (Some(provider), None) = (providers.next(), providers.next()) {
            return Ok(provider);
        }
        // A plugin whose manifest cannot be read may be the provider.
        Err(match self.context.plugins.broken() {
            Some(error) => NoProvider::Unknown(error.into()),
            None => NoProvider::Denied(unclaimed(name, claims, self.context.plugins.disabled_reason(name))),
        })
    }

    /// Runs the provider. Operations that it requests meanwhile are judged and run. There is no plan if the plugin cannot plan without
    /// copies that a dry run does not make.
    fn plan(
        &self,
        provider: &ProvidedCommand,
        command: &CommandRequest,
        subject: &Subject,
        resolver: &AnyResolver<'_>,
    ) -> Result<(Option<Plan>, Vec<Judged>), CommandError> {
        let live = match resolver {
            AnyResolver::Live(_) => Some(LiveHost {
                pipeline: self,
                subject: subject.clone(),
                interrupted: Cell::default(),
                judged: RefCell::default(),
            }),
            AnyResolver::Assumed(_) => None,
        };
        let host: &dyn Host = live.as_ref().map_or(&NoHost, |live| live);
        let planned = self.context.plugins.plan(&provider.plugin, &command.name, &command.args, host);
        if let Some(signal) = live.as_ref().and_then(|live| live.interrupted.get()) {
            return Err(Error::from(OsError::Interrupted { signal }).into());
        }
        let asked = live.map(|live| live.judged.into_inner()).unwrap_or_default();
        match planned {
            Ok(plan) => Ok((Some(plan), asked)),
            Err(PlanError::Denied { .. } | PlanError::Failed { .. }) if !asked.is_empty() => {
                Ok((None, asked))
            }
            Err(PlanError::Denied { code, message, hint }) => {
                let denial =
                    Denial { denied_by: DeniedBy::Command(provider.plugin.clone()), code, message, hint };
                Err(CommandError::Denied(Box::new((subject.clone(), denial))))
            }
            Err(other) => Err(Error::Plan(other).into()),
        }
    }

    /// Resolves subcommands that do not run podman: see [`spellings`].
    fn own_operations(&self, own: Own, resolver: &AnyResolver<'_>) -> Result<Vec<Operation>, Error> {
        let request = match own {
            Own::Remove { images } => Request::Remove(remove::Request { images }),
            Own::Prune { all } => Request::Prune(prune::Request { all }),
        };
        match resolver {
            AnyResolver::Live(_) => {
                let Resolved { operations, .. } = request.resolve(&self.context)?;
                Ok(operations)
            }
            AnyResolver::Assumed(assumed) => request.assume(assumed),
        }
    }

    /// Judges a plan with its names as written and, if that is allowed, with resolved names.
    fn judge_planned(
        &self,
        planned: &Planned<'_>,
        subject: &Subject,
        claims: &[ProvidedCommand],
        resolver: &AnyResolver<'_>,
    ) -> Result<Judged, CommandError> {
        let settings = self.context.host.settings;
        let validators = validators(&settings.configuration, claims.to_vec(), self.context.plugins);
        let unresolved = Operation::Cmd(Cmd::unresolved(planned));
        let judged = validators.judge(CanonicalOperation::unresolved(
            unresolved,
            subject.clone(),
            settings.sysroot.clone(),
        ));
        if judged.denial().is_some() {
            return Ok(judged);
        }
        let resolved = match planned.resolve(resolver.as_dyn()) {
            Err(Error::Denied(denial)) => {
                return Err(CommandError::Denied(Box::new((subject.clone(), denial))));
            }
            Err(Error::Stores(StoresError::ImageNotFound { .. }))
                if planned.command.does() == Does::TellsExistence =>
            {
                return Err(CommandError::ImageAbsent);
            }
            Err(error @ Error::Unresolved { .. }) => {
                return Err(CommandError::Unresolved(vec![judged], Box::new(error)));
            }
            resolved => resolved?,
        };
        let resolved = Operation::Cmd(Cmd::of(planned, resolved));
        Ok(validators.judge(CanonicalOperation::new(resolved, subject.clone(), settings.sysroot.clone())))
    }
}

/// Why no plugin can plan a subcommand.
enum NoProvider {
    Denied(Denial),
    Unknown(Error),
}

fn unclaimed(name: &str, claims: &[ProvidedCommand], disabled_reason: Option<String>) -> Denial {
    let known: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let hint = match known.as_slice() {
        _ if disabled_reason.is_some() => disabled_reason.unwrap_or_default(),
        [] => "no enabled plugin provides any subcommand; to see the installed plugins, run: bootc-image plugin list"
            .to_owned(),
        known => format!(
            "check the spelling: enabled plugins provide {}; to see all installed plugins, run: bootc-image plugin list",
            known.join(", ")
        ),
    };
    Denial {
        denied_by: DeniedBy::Host("host"),
        code: "unclaimed".to_owned(),
        message: format!("no enabled plugin provides `cmd {}`", shortened(name)),
        hint: Some(hint),
    }
}
