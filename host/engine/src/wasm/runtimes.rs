//! The runtimes for components, which are created when the first component runs.

use std::sync::OnceLock;

use bootc_image_manifest::World;
use wasmtime::component::Component;

use super::load::{Compiler, load};
use super::loaded::Loaded;
use super::runtime::{Runs, Runtime};
use crate::run::Identity;
use crate::trust::code::Code;
use crate::unusable::Unusable;

/// The runtimes, and the compiler.
pub(crate) struct Runtimes {
    once: LazyRuntime,
    again: LazyRuntime,
    compiler: Compiler,
}

type LazyRuntime = OnceLock<Result<Runtime, Unusable>>;

impl Runtimes {
    pub(crate) fn new(compiler: Compiler) -> Self {
        Self { once: LazyRuntime::new(), again: LazyRuntime::new(), compiler }
    }

    pub(super) fn runtime(&self, runs: Runs) -> Result<&Runtime, Unusable> {
        let start = || Runtime::new(runs).map_err(|error| format!("cannot start wasmtime: {error:#}").into());
        let runtime = match runs {
            Runs::Once => &self.once,
            Runs::Again => &self.again,
        };
        runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    pub(super) fn component(
        &self,
        runtime: &Runtime,
        code: &Code,
        retry: bool,
    ) -> Result<Component, Unusable> {
        load(runtime, code, &self.compiler, retry)
    }

    /// Loads a component of this world for one call. `retry`: ignores a cached compilation failure.
    pub(crate) fn load(
        &self,
        code: &Code,
        identity: Identity,
        world: World,
        retry: bool,
    ) -> Result<Loaded<'_>, Unusable> {
        let runtime = self.runtime(Runs::of(world))?;
        let component = self.component(runtime, code, retry)?;
        Ok(Loaded { runtime, component, identity, world })
    }

    /// Stops the timers until the next run.
    pub(crate) fn stop_timer(&self) {
        for runtime in [&self.once, &self.again] {
            if let Some(Ok(runtime)) = runtime.get() {
                runtime.stop_timer();
            }
        }
    }
}
