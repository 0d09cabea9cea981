//! The way of a command of a plugin: planned, judged as it is named, resolved, judged as what its names mean. What is refused
//! as it is named isn't even looked up.

use std::cell::{Cell, RefCell};

use bootc_image_grammar::Does;
use bootc_image_model::denial::{By, Denial};
use bootc_image_model::subject::Subject;
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;

use super::asked::{Here, Nowhere, shortened};
use super::{Answer, Pipeline};
use crate::assumed::Assumed;
use crate::audit::Outcome;
use crate::commands::planned::Planned;
use crate::commands::resolver::{Live, Resolver};
use crate::commands::spellings::{self, Own};
use crate::error::Error;
use crate::frozen::Frozen;
use crate::ops::cmd::{Cmd, Request as CommandRequest};
use crate::ops::{Operation, Report, Request, Resolved, prune, remove};
use crate::plugin::{CommandClaim, Host, Plan, PlanError};
use crate::policy::{Judged, validators};

/// Where names are looked up.
enum World<'a> {
    /// Here and now.
    Live(Live<'a>),
    /// In a test of policies.
    Assumed(&'a Assumed),
}

impl World<'_> {
    fn resolver(&self) -> &dyn Resolver {
        match self {
            Self::Live(live) => live,
            Self::Assumed(assumed) => *assumed,
        }
    }
}

/// What a command became: what was judged, and what its plugin wants to have said.
struct JudgedCommand {
    judged: Vec<Judged>,
    message: String,
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

impl Pipeline<'_> {
    /// Asks the plugin that owns the command for a plan, which then goes the same way as everything else (D3.2).
    pub(super) fn command(&self, command: &CommandRequest, subject: Subject) -> Result<Answer, Error> {
        physical(self.context.host.settings)?;
        let is_delegated = subject.delegation.is_some();
        match self.judge_command(command, subject, &World::Live(Live::new(&self.context))) {
            Ok(JudgedCommand { judged, message }) => {
                if !message.is_empty() {
                    self.context.host.talk.note(&message);
                }
                // Who is root for another asks registries with root's credentials, also where nothing is to run.
                if self.context.host.settings.dry_run && is_delegated {
                    let mut looked_up = judged.iter().filter(|judged| judged.frozen().is_resolved());
                    looked_up.try_for_each(|judged| self.record_look_up(judged, &Outcome::DONE))?;
                }
                self.act(judged, Vec::new())
            }
            Err(NotJudged::Nothing) => Ok(Answer::NothingToDo),
            // As podman says it.
            Err(NotJudged::Absent) => Ok(Answer::Done(Report::Exited { code: 1 })),
            Err(NotJudged::Denied(denied)) => Err(self.denied(&denied.0, denied.1)),
            Err(NotJudged::Failed(error)) => Err(error),
            Err(NotJudged::LookUp(judged, error)) => {
                // A registry was asked, with root's credentials.
                self.record_look_up(&judged, &Outcome::of_error(&error))?;
                Err(error)
            }
        }
    }

    /// As [`Pipeline::suppose`], of a command.
    pub(super) fn suppose_command(
        &self,
        command: &CommandRequest,
        assumed: &Assumed,
    ) -> Result<Vec<Judged>, Error> {
        match self.judge_command(command, assumed.subject.clone(), &World::Assumed(assumed)) {
            Ok(JudgedCommand { judged, .. }) => Ok(judged),
            Err(NotJudged::Nothing | NotJudged::Absent) => Ok(Vec::new()),
            Err(NotJudged::Denied(denied)) => Err(denied.1.into()),
            Err(NotJudged::Failed(error) | NotJudged::LookUp(_, error)) => Err(error),
        }
    }

    fn record_look_up(&self, judged: &Judged, outcome: &Outcome) -> Result<(), Error> {
        self.recorder.looked_up(judged, outcome).map_err(|error| Error::Audit(Box::new(error)))
    }

    fn judge_command(
        &self,
        command: &CommandRequest,
        subject: Subject,
        world: &World<'_>,
    ) -> Result<JudgedCommand, NotJudged> {
        let claims = self.context.plugins.command_claims().map_err(Error::from)?;
        let owner = self.owner(&command.name, &claims).map_err(|not_judged| match not_judged {
            Unowned::Denied(denial) => NotJudged::Denied(Box::new((subject.clone(), denial))),
            Unowned::Unknown(error) => error.into(),
        })?;
        let subject = subject.through(&owner.plugin);
        // In a dry run: what would have been copied, whatever became of the plan.
        let (planned, asked) = self.plan(owner, command, &subject, world)?;
        let with_asked = |judged, message| {
            let judged = asked.into_iter().chain(judged).collect();
            Ok(JudgedCommand { judged, message })
        };
        let Some(plan) = planned else {
            self.context
                .host
                .talk
                .note("the dry run stops here: the plugin cannot plan further without these copies");
            return with_asked(Vec::new(), String::new());
        };
        let Some((subcommand, args)) = plan.argv.split_first() else {
            if !plan.message.is_empty() {
                self.context.host.talk.note(&plan.message);
            }
            let judged = with_asked(Vec::new(), String::new())?;
            return if judged.judged.is_empty() { Err(NotJudged::Nothing) } else { Ok(judged) };
        };
        let denied = |denial| NotJudged::Denied(Box::new((subject.clone(), denial)));
        if let Some(own) = spellings::of_plan(&command.name, subcommand, args).map_err(denied)? {
            let operations = self.operations_of_our_own(own, world)?;
            return with_asked(self.judge(operations, &subject, &claims), plan.message);
        }
        let planned = Planned::parse(&command.name, &owner.plugin, subcommand, args).map_err(denied)?;
        let judged = self.judge_planned(&planned, &subject, &claims, world)?;
        with_asked(vec![judged], plan.message)
    }

    /// The plugin that owns a subcommand.
    fn owner<'c>(&self, name: &str, claims: &'c [CommandClaim]) -> Result<&'c CommandClaim, Unowned> {
        let mut owners = claims.iter().filter(|claim| claim.name == name);
        if let (Some(owner), None) = (owners.next(), owners.next()) {
            return Ok(owner);
        }
        // A plugin that can't be read might be the one.
        Err(match self.context.plugins.broken() {
            Some(error) => Unowned::Unknown(error.into()),
            None => Unowned::Denied(unclaimed(name, claims, self.context.plugins.held(name))),
        })
    }

    /// Asks the owner for a plan; what it asks for meanwhile goes the same way. Without a plan: it didn't plan on without copies
    /// that a dry run doesn't make.
    fn plan(
        &self,
        owner: &CommandClaim,
        command: &CommandRequest,
        subject: &Subject,
        world: &World<'_>,
    ) -> Result<(Option<Plan>, Vec<Judged>), NotJudged> {
        let here = match world {
            World::Live(_) => Some(Here {
                pipeline: self,
                subject: subject.clone(),
                interrupted: Cell::default(),
                judged: RefCell::default(),
            }),
            World::Assumed(_) => None,
        };
        let host: &dyn Host = here.as_ref().map_or(&Nowhere, |here| here);
        let planned = self.context.plugins.plan(&owner.plugin, &command.name, &command.args, host);
        if let Some(signal) = here.as_ref().and_then(|here| here.interrupted.get()) {
            return Err(Error::from(OsError::Interrupted { signal }).into());
        }
        let asked = here.map(|here| here.judged.into_inner()).unwrap_or_default();
        match planned {
            Ok(plan) => Ok((Some(plan), asked)),
            Err(PlanError::Denied { .. } | PlanError::Failed { .. }) if !asked.is_empty() => {
                Ok((None, asked))
            }
            Err(PlanError::Denied { code, message, hint }) => {
                let denial = Denial { by: By::Command(owner.plugin.clone()), code, message, hint };
                Err(NotJudged::Denied(Box::new((subject.clone(), denial))))
            }
            Err(other) => Err(Error::Plan(other).into()),
        }
    }

    /// What isn't podman's to do (D3.13).
    fn operations_of_our_own(&self, own: Own, world: &World<'_>) -> Result<Vec<Operation>, Error> {
        let request = match own {
            Own::Remove { images } => Request::Remove(remove::Request { images }),
            Own::Prune { all } => Request::Prune(prune::Request { all }),
        };
        match world {
            World::Live(_) => {
                let Resolved { operations, .. } = request.resolve(&self.context)?;
                Ok(operations)
            }
            World::Assumed(assumed) => request.assume(assumed),
        }
    }

    /// Judges a plan as it is named and, if nobody objects, as what its names mean.
    fn judge_planned(
        &self,
        planned: &Planned<'_>,
        subject: &Subject,
        claims: &[CommandClaim],
        world: &World<'_>,
    ) -> Result<Judged, NotJudged> {
        let settings = self.context.host.settings;
        let validators = validators(&settings.configuration, claims.to_vec(), self.context.plugins);
        let unresolved = Operation::Cmd(Cmd::unresolved(planned));
        let judged =
            validators.judge(Frozen::unresolved(unresolved, subject.clone(), settings.sysroot.clone()));
        if judged.denial().is_some() {
            return Ok(judged);
        }
        let resolved = match planned.resolve(world.resolver()) {
            Err(Error::Denied(denial)) => {
                return Err(NotJudged::Denied(Box::new((subject.clone(), denial))));
            }
            Err(Error::Stores(StoresError::ImageNotFound { .. }))
                if planned.command.does() == Does::TellsExistence =>
            {
                return Err(NotJudged::Absent);
            }
            Err(error @ Error::LookUp { .. }) => return Err(NotJudged::LookUp(Box::new(judged), error)),
            resolved => resolved?,
        };
        let resolved = Operation::Cmd(Cmd::of(planned, resolved));
        Ok(validators.judge(Frozen::new(resolved, subject.clone(), settings.sysroot.clone())))
    }
}

/// Why nobody is asked for a plan.
enum Unowned {
    Denied(Denial),
    Unknown(Error),
}

fn unclaimed(name: &str, claims: &[CommandClaim], held: Option<String>) -> Denial {
    let known: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let hint = match known.as_slice() {
        _ if held.is_some() => held.unwrap_or_default(),
        [] => "enable a plugin that provides it; no enabled plugin provides any subcommand".to_owned(),
        known => {
            format!("enable a plugin that provides it; enabled plugins provide: {}", known.join(", "))
        }
    };
    Denial {
        by: By::Host("host"),
        code: "unclaimed".to_owned(),
        message: format!("no enabled plugin provides `cmd {}`", shortened(name)),
        hint: Some(hint),
    }
}
