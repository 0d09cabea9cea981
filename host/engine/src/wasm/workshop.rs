//! Components ready to run: for one question, or as policies, which are asked again and again.

use std::sync::{Arc, OnceLock};

use bootc_image_core::plugin::{Host, Opinion, Plan, PlanError};
use bootc_image_model::view::View;
use wasmtime::component::Component;

use super::load::{Compiler, load};
use super::{ReadyPolicy, Runs, Runtime};
use crate::manifest::World;
use crate::run::caught::{Printing, caught};
use crate::run::{self, BadSetting, Identity, List, NoOpinion, Unformatted};
use crate::trust::code::Code;
use crate::unusable::Unusable;

/// What running components needs, made when the first one runs.
pub(crate) struct Workshop {
    once: LazyRuntime,
    again: LazyRuntime,
    compiler: Compiler,
}

type LazyRuntime = OnceLock<Result<Runtime, Unusable>>;

impl Workshop {
    pub(crate) fn new(compiler: Compiler) -> Self {
        Self { once: LazyRuntime::new(), again: LazyRuntime::new(), compiler }
    }

    fn runtime(&self, runs: Runs) -> Result<&Runtime, Unusable> {
        let start =
            || Runtime::new(runs).map_err(|error| format!("wasmtime doesn't start: {error:#}").into());
        let runtime = match runs {
            Runs::Once => &self.once,
            Runs::Again => &self.again,
        };
        runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// Loads a component of this world; `anew`: also one that couldn't be compiled before.
    pub(crate) fn load(
        &self,
        code: &Code,
        identity: Identity,
        world: World,
        anew: bool,
    ) -> Result<Loaded<'_>, Unusable> {
        let runtime = self.runtime(Runs::of(world))?;
        let component = load(runtime, code, &self.compiler, anew)?;
        Ok(Loaded { runtime, component, identity, world })
    }

    /// Lets the clocks stop until the next run.
    pub(crate) fn rest(&self) {
        for runtime in [&self.once, &self.again] {
            if let Some(Ok(runtime)) = runtime.get() {
                runtime.rest();
            }
        }
    }
}

/// A component, loaded for one question.
pub(crate) struct Loaded<'a> {
    runtime: &'a Runtime,
    component: Component,
    identity: Identity,
    world: World,
}

impl run::Loaded for Loaded<'_> {
    fn plan(self: Box<Self>, name: &str, args: &[String], host: &dyn Host) -> Result<Plan, PlanError> {
        self.runtime.plan(&self.identity, &self.component, name, args, host)
    }

    fn format(self: Box<Self>, list: List<'_>, out: &mut Printing<'_>) -> Result<(), Unformatted> {
        let Self { runtime, component, identity, .. } = *self;
        runtime.format(&identity, component, list, out)
    }

    fn check(self: Box<Self>) -> Result<Vec<BadSetting>, Unusable> {
        let Self { runtime, component, identity, world } = &*self;
        runtime.prepare(identity, component, *world)?;
        runtime.check_settings(identity, component, *world)
    }
}

/// A policy that is a component.
pub(crate) struct Judge {
    code: Code,
    identity: Identity,
    workshop: Arc<Workshop>,
    ready: OnceLock<Result<ReadyPolicy, Unusable>>,
}

impl Judge {
    pub(crate) fn new(code: Code, identity: Identity, workshop: Arc<Workshop>) -> Self {
        Self { code, identity, workshop, ready: OnceLock::new() }
    }

    /// The runtime, and the policy in it, loaded if this is the first time.
    fn ready(&self) -> Result<(&Runtime, &ReadyPolicy), Unusable> {
        let runtime = self.workshop.runtime(Runs::Again)?;
        let make = || {
            load(runtime, &self.code, &self.workshop.compiler, false)
                .and_then(|component| runtime.prepare_policy(&self.identity, &component))
        };
        let ready = self.ready.get_or_init(make).as_ref().map_err(Clone::clone)?;
        Ok((runtime, ready))
    }
}

impl run::Judge for Judge {
    fn evaluate(&self, view: &Arc<View>) -> Result<Opinion, NoOpinion> {
        let failed = |asked| move |reason| NoOpinion { reason, fix: None, asked };
        let ready = || self.ready().map_err(|unusable| unusable.to_string());
        let (runtime, policy) = caught(ready).flatten().map_err(failed(false))?;
        caught(|| runtime.evaluate(&self.identity, policy, view)).flatten().map_err(failed(true))
    }
}
