//! A policy that is a component. It is loaded and linked once; each run has its own store.

use std::sync::{Arc, OnceLock};

use bootc_image_core::plugin::PolicyVerdict;
use bootc_image_manifest::World;
use bootc_image_model::policy_input::PolicyInput;

use super::bindings::validator::ValidatorPre;
use super::guest::Guest;
use super::runtime::{Runs, Runtime, unlinked};
use super::runtimes::Runtimes;
use super::{policies, stopped, texts};
use crate::run::caught::caught;
use crate::run::{self, Identity, NoOpinion, Reported, answers};
use crate::trust::code::Code;
use crate::unusable::Unusable;

/// A policy that is a component.
pub(crate) struct Judge {
    code: Code,
    identity: Identity,
    runtimes: Arc<Runtimes>,
    ready: OnceLock<Result<Ready, Unusable>>,
}

/// A policy that is loaded and linked.
struct Ready {
    pre: ValidatorPre<Guest>,
    wasi: bool,
}

impl Judge {
    pub(crate) fn new(code: Code, identity: Identity, runtimes: Arc<Runtimes>) -> Self {
        Self { code, identity, runtimes, ready: OnceLock::new() }
    }

    /// The runtime and the policy, which is loaded on the first call.
    fn ready(&self) -> Result<(&Runtime, &Ready), Unusable> {
        let runtime = self.runtimes.runtime(Runs::Again)?;
        let make = || {
            let component = self.runtimes.component(runtime, &self.code, false)?;
            let (pre, wasi) = runtime.link(&self.identity, &component, World::PolicyValidator)?;
            Ok(Ready { pre: ValidatorPre::new(pre).map_err(unlinked)?, wasi })
        };
        let ready = self.ready.get_or_init(make).as_ref().map_err(Clone::clone)?;
        Ok((runtime, ready))
    }

    /// Has the policy judge one operation. The error says why it could not.
    fn ask(
        &self,
        runtime: &Runtime,
        ready: &Ready,
        policy_input: &Arc<PolicyInput>,
    ) -> Result<PolicyVerdict, Reported> {
        let failed = |message| Reported { message, hint: None };
        let mut store =
            runtime.store(&self.identity, ready.wasi).map_err(|unusable| failed(unusable.to_string()))?;
        let outcome = ready
            .pre
            .instantiate(&mut store)
            .and_then(|validator| policies::evaluate(&validator, &mut store, policy_input.clone()));
        match outcome {
            Ok(Ok(verdict)) => Ok(policies::opinion(&self.identity.plugin, &verdict)),
            Ok(Err(problem)) => Err(answers::reported((&problem).into(), texts::key(&problem))),
            Err(error) => Err(failed(stopped::reason(&error, store.data().run_info()))),
        }
    }
}

impl run::Judge for Judge {
    fn evaluate(&self, policy_input: &Arc<PolicyInput>) -> Result<PolicyVerdict, NoOpinion> {
        let failed = |asked| move |reason| NoOpinion { reason, fix: None, asked };
        let reported = |Reported { message, hint }| NoOpinion { reason: message, fix: hint, asked: true };
        let ready = || self.ready().map_err(|unusable| unusable.to_string());
        let (runtime, ready) = caught(ready).flatten().map_err(failed(false))?;
        let asked = caught(|| self.ask(runtime, ready, policy_input)).map_err(failed(true))?;
        asked.map_err(reported)
    }
}
