//! A policy that is native code. Its process is kept for the next operation.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bootc_image_core::plugin::PolicyVerdict;
use bootc_image_manifest::World;
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_os::processes;

use super::{NoVerdict, Process};
use crate::run::caught::caught;
use crate::run::{self, Identity, NoOpinion};
use crate::trust::code::Code;

/// A policy that is native code.
pub(crate) struct Judge {
    code: Code,
    identity: Identity,
    programs: Vec<PathBuf>,
    /// Its process, if one is running.
    process: Mutex<Option<Box<Process>>>,
}

impl Judge {
    pub(crate) fn new(code: Code, identity: Identity, programs: Vec<PathBuf>) -> Self {
        Self { code, identity, programs, process: Mutex::new(None) }
    }

    fn start(&self) -> Result<Process, NoOpinion> {
        let start =
            || Process::start(&self.code, self.identity.clone(), World::PolicyValidator, &self.programs);
        let started = caught(|| start().map_err(|unusable| unusable.to_string())).flatten();
        started.map_err(|reason| NoOpinion { reason, fix: None, asked: false })
    }
}

impl run::Judge for Judge {
    fn evaluate(&self, policy_input: &Arc<PolicyInput>) -> Result<PolicyVerdict, NoOpinion> {
        let mut place = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = |process: Process| {
            let panicked = |reason| (None, Err(NoVerdict { reason, fix: None, closed: false }));
            caught(|| process.evaluate(policy_input)).unwrap_or_else(panicked)
        };
        let kept = place.take().filter(|process| process.listens()).map(|process| ask(*process));
        let (process, opinion) = match kept {
            // It may have ended before it received the request, so a new process gets the request.
            None | Some((None, Err(NoVerdict { closed: true, .. }))) => ask(self.start()?),
            Some(answered) => answered,
        };
        *place = process.map(Box::new);
        opinion.map_err(|NoVerdict { reason, fix, .. }| NoOpinion {
            reason,
            fix: Some(fix.unwrap_or_else(|| format!("contact the vendor of {}", self.identity.plugin))),
            // After an interruption a failure must not be excused by `fail-open`.
            asked: processes::check_interrupted().is_ok(),
        })
    }
}
