//! A plugin as the core's `Policy`: asked, or the reason why it can't be.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bootc_image_core::plugin::{Opinion, Policy, PolicyFailure};
use bootc_image_model::plugin::{Made, PluginId};
use bootc_image_model::view::View;
use bootc_image_os::children;

use crate::code::{self, Code, Compiler};
use crate::inventory::{Broken, Plugin, Standing};
use crate::manifest::{When, World};
use crate::native::{NoOpinion, Process};
use crate::set::caught;
use crate::wasm::{Identity, ReadyPolicy, Runs, Runtime};

/// What running plugins needs, made when the first one runs.
pub(crate) struct Workshop {
    once: LazyRuntime,
    again: LazyRuntime,
    pub(crate) compiler: Compiler,
}

type LazyRuntime = OnceLock<Result<Runtime, String>>;

impl Workshop {
    pub(crate) fn new(compiler: Compiler) -> Self {
        Self { once: LazyRuntime::new(), again: LazyRuntime::new(), compiler }
    }

    pub(crate) fn runtime(&self, runs: Runs) -> Result<&Runtime, String> {
        let start = || Runtime::new(runs).map_err(|error| format!("wasmtime doesn't start: {error:#}"));
        let runtime = match runs {
            Runs::Once => &self.once,
            Runs::Again => &self.again,
        };
        runtime.get_or_init(start).as_ref().map_err(Clone::clone)
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

/// A plugin that judges, or that might if it weren't broken.
pub(crate) struct JudgingPlugin {
    plugin: PluginId,
    parts: Option<Parts>,
    made: OnceLock<Option<Made>>,
    when: When,
    before_lookup: bool,
    code: Result<(Code, Identity), PolicyFailure>,
    body: Body,
    workshop: Arc<Workshop>,
}

/// What it is made of. Settings are hashed only of those that are asked.
struct Parts {
    version: String,
    code: String,
    manifest: String,
    settings: Arc<str>,
}

/// What a policy is when it has been asked once.
enum Body {
    /// A component, loaded.
    Component(OnceLock<Result<ReadyPolicy, String>>),
    /// The process of native code, unless none runs.
    Native(Mutex<Option<Box<Process>>>),
}

impl JudgingPlugin {
    pub(crate) fn new(plugin: &Plugin, identity: Identity, workshop: Arc<Workshop>) -> Self {
        let parts = plugin.manifest.component.sha256.as_ref().map(|code| Parts {
            version: plugin.manifest.version.to_string(),
            code: code.clone(),
            manifest: plugin.manifest_sha256.clone(),
            settings: identity.settings.clone(),
        });
        let code = match &plugin.standing {
            Standing::Enabled => Ok((plugin.code.clone(), identity)),
            Standing::Held { reason, fix } => {
                Err(PolicyFailure { reason: reason.clone(), fix: fix.clone(), asked: false })
            }
        };
        let component = &plugin.manifest.component;
        let (when, before_lookup) = if plugin.when_counts {
            (component.when.clone(), component.before_lookup)
        } else {
            (When::default(), true)
        };
        Self {
            plugin: plugin.manifest.id.clone(),
            parts,
            made: OnceLock::new(),
            when,
            before_lookup,
            code,
            body: if component.native {
                Body::Native(Mutex::new(None))
            } else {
                Body::Component(OnceLock::new())
            },
            workshop,
        }
    }

    /// None if it can't have been a policy.
    pub(crate) fn broken(broken: &Broken, workshop: Arc<Workshop>) -> Option<Self> {
        let failure = PolicyFailure { reason: broken.reason.clone(), fix: broken.fix.clone(), asked: false };
        broken.may_be_policy.then(|| Self {
            plugin: PluginId::new(&broken.id).unwrap_or_else(|_| PluginId::unknown()),
            parts: None,
            made: OnceLock::new(),
            when: When::default(),
            before_lookup: true,
            code: Err(failure),
            body: Body::Component(OnceLock::new()),
            workshop,
        })
    }

    /// The runtime, and the policy in it, loaded if this is the first time.
    fn ready<'a>(
        &'a self,
        ready: &'a OnceLock<Result<ReadyPolicy, String>>,
        code: &Code,
        identity: &Identity,
    ) -> Result<(&'a Runtime, &'a ReadyPolicy), String> {
        let runtime = self.workshop.runtime(Runs::of(World::PolicyValidator))?;
        let load = || {
            code::load(runtime, code, &self.workshop.compiler)
                .and_then(|it| runtime.prepare_policy(identity, &it))
        };
        let ready = ready.get_or_init(load).as_ref().map_err(Clone::clone)?;
        Ok((runtime, ready))
    }
}

impl Policy for JudgingPlugin {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn made(&self) -> Option<&Made> {
        let made = |parts: &Parts| Made {
            version: parts.version.clone(),
            code: parts.code.clone(),
            manifest: parts.manifest.clone(),
            settings: code::hex(parts.settings.as_bytes()),
        };
        self.made.get_or_init(|| self.parts.as_ref().map(made)).as_ref()
    }

    fn concerns(&self, view: &View) -> bool {
        self.when.concerns(view)
    }

    fn judges_unresolved(&self) -> bool {
        self.before_lookup
    }

    fn evaluate(&self, view: &Arc<View>) -> Result<Opinion, PolicyFailure> {
        let (code, identity) = self.code.as_ref().map_err(Clone::clone)?;
        let failed = |asked| {
            move |reason| PolicyFailure {
                reason,
                fix: format!("see: bootc-image plugin doctor {}", self.plugin),
                asked,
            }
        };
        match &self.body {
            Body::Component(ready) => {
                let ready = || self.ready(ready, code, identity);
                let (runtime, ready) =
                    caught(ready).and_then(std::convert::identity).map_err(failed(false))?;
                let evaluate = || runtime.evaluate(identity, ready, view);
                caught(evaluate).and_then(std::convert::identity).map_err(failed(true))
            }
            Body::Native(place) => {
                let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                let programs = &self.workshop.compiler.programs;
                let start = || Process::start(code, identity.clone(), World::PolicyValidator, programs);
                let ask = |process: Process| {
                    let panicked = |reason| (None, Err(NoOpinion { reason, fix: None, hung_up: false }));
                    caught(|| process.evaluate(view)).unwrap_or_else(panicked)
                };
                let kept = place.take().filter(|process| process.listens()).map(|process| ask(*process));
                let (process, opinion) = match kept {
                    // Whether it ended before it was asked or after, nobody can tell.
                    None | Some((None, Err(NoOpinion { hung_up: true, .. }))) => {
                        ask(caught(start).and_then(std::convert::identity).map_err(failed(false))?)
                    }
                    Some(answered) => answered,
                };
                *place = process.map(Box::new);
                opinion.map_err(|NoOpinion { reason, fix, .. }| PolicyFailure {
                    reason,
                    fix: fix.unwrap_or_else(|| format!("who made {} can tell", self.plugin)),
                    // Whoever interrupts us wants nothing to run.
                    asked: children::check_not_asked_to_end().is_ok(),
                })
            }
        }
    }
}
