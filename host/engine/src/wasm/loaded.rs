//! A component, loaded for one call.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

use bootc_image_core::plugin::{Host, Plan, PlanError};
use bootc_image_manifest::World;
use wasmtime::component::{Component, InstancePre};

use super::asks::{self, Requests};
use super::bindings::configurable::ConfigurablePre;
use super::bindings::output::{Output, OutputPre};
use super::bindings::validator::ValidatorPre;
use super::bindings::wrapper::{Wrapper, WrapperPre};
use super::formats::{self, Listed, Stop};
use super::guest::Guest;
use super::rows::Cursor;
use super::runtime::{Runtime, unlinked};
use super::{commands, policies, stopped, texts};
use crate::run::{self, BadSetting, Identity, List, Unformatted, answers};
use crate::unusable::Unusable;

/// A component, loaded for one call.
pub(crate) struct Loaded<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) component: Component,
    pub(super) identity: Identity,
    pub(super) world: World,
}

impl run::Loaded for Loaded<'_> {
    fn plan(self: Box<Self>, name: &str, args: &[String], host: &dyn Host) -> Result<Plan, PlanError> {
        if !asks::can_request(&self.identity.capabilities) {
            return self.plan_here(name, args, None);
        }
        // Its requests run on this thread while it waits on its own thread, so that their time is not counted as its time.
        let waiting = &self.runtime.waiting;
        waiting.fetch_add(1, Ordering::SeqCst);
        let planned = asks::with_requests(host, |requests| self.plan_here(name, args, Some(requests)));
        waiting.fetch_sub(1, Ordering::SeqCst);
        planned.unwrap_or_else(|reason| Err(self.unusable(reason)))
    }

    /// Component, linker and store are not dropped: that would take a fifth of the time, and a list is the last thing that a process
    /// prints before it exits.
    fn format(self: Box<Self>, list: List<'_>, out: &mut dyn Write) -> Result<(), Unformatted> {
        let unusable = |unusable: Unusable| Unformatted::Failed(unusable.to_string());
        let Self { runtime, component, identity, world } = *self;
        let component = ManuallyDrop::new(component);
        let (linker, wasi) = runtime.linker_for(&identity, &component, world).map_err(unusable)?;
        let linker = ManuallyDrop::new(linker);
        let columns = list.format.columns.iter().map(|column| column.name().to_owned()).collect();
        let cursor = Cursor::new(list.rows.clone(), list.format.columns.clone());
        let mut store = ManuallyDrop::new(runtime.store(&identity, wasi).map_err(unusable)?);
        let listed = Listed { cursor, columns };
        let outcome = match Output::instantiate(&mut *store, &component, &linker) {
            Ok(output) => formats::format(&output, &mut store, list.wanted, listed, out),
            Err(error) => Err(error.into()),
        };
        outcome.map_err(|stop| match stop {
            Stop::Output(error) => Unformatted::Output(error),
            Stop::Problem(problem) => answers::unformatted((&problem).into(), texts::key(&problem)),
            Stop::Plugin(error) => Unformatted::Failed(stopped::reason(&error, store.data().run_info())),
        })
    }

    fn check(self: Box<Self>) -> Result<Vec<BadSetting>, Unusable> {
        let Self { runtime, component, identity, world } = &*self;
        let (pre, wasi) = runtime.link(identity, component, *world)?;
        implements(&pre, *world)?;
        let mut store = runtime.store(identity, wasi)?;
        let checked = match ConfigurablePre::new(pre.clone()) {
            Ok(pre) => pre.instantiate(&mut store).and_then(|configurable| {
                policies::check_settings(&configurable, &mut store, identity.settings.full())
            }),
            // A component without the export does not check its settings.
            Err(_) => pre.instantiate(&mut store).map(|_| Vec::new()),
        };
        checked.map_err(|error| stopped::reason(&error, store.data().run_info()).into())
    }
}

/// Fails if a component lacks a function of its world, or has another one of that name.
fn implements(pre: &InstancePre<Guest>, world: World) -> Result<(), Unusable> {
    let ready = match world {
        World::CommandWrapper => WrapperPre::new(pre.clone()).map(drop),
        World::FormatOutput => OutputPre::new(pre.clone()).map(drop),
        World::PolicyValidator => ValidatorPre::new(pre.clone()).map(drop),
    };
    ready.map_err(unlinked)
}

impl Loaded<'_> {
    /// Creates an instance, within the limits of a run, and calls none of its functions.
    pub(crate) fn instantiate(&self) -> Result<(), Unusable> {
        let Self { runtime, component, identity, world } = self;
        let (pre, wasi) = runtime.link(identity, component, *world)?;
        implements(&pre, *world)?;
        let mut store = runtime.store(identity, wasi)?;
        let instance = pre.instantiate(&mut store);
        instance.map(drop).map_err(|error| stopped::reason(&error, store.data().run_info()).into())
    }

    fn plan_here(&self, name: &str, args: &[String], requests: Option<Requests>) -> Result<Plan, PlanError> {
        let Self { runtime, component, identity, world } = self;
        let unusable = |unusable: Unusable| self.unusable(unusable.to_string());
        let (linker, wasi) = runtime.linker_for(identity, component, *world).map_err(unusable)?;
        let mut store = runtime.store(identity, wasi).map_err(unusable)?;
        store.data_mut().connect(requests);
        let outcome = Wrapper::instantiate(&mut store, component, &linker)
            .and_then(|wrapper| commands::plan_run(&wrapper, &mut store, name, args));
        match outcome {
            Ok(Ok(plan)) => Ok(commands::plan(plan)),
            Ok(Err(failure)) => Err(commands::failure(&failure)),
            Err(error) => Err(self.unusable(stopped::reason(&error, store.data().run_info()))),
        }
    }

    fn unusable(&self, reason: String) -> PlanError {
        PlanError::Unusable { plugin: self.identity.plugin.clone(), reason }
    }
}
