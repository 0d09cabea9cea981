//! Runs components. Every run has a store of its own, which goes when the run ends: nothing is remembered, and an instance
//! that trapped is never entered again.
//!
//! - [`bindings`]: generated from `wit/`
//! - [`versions`], [`imports`]: for which host it was built, and what it asks for, compared with what it may have, before
//!   anything is linked
//! - [`guest`]: what the host keeps for one run
//! - [`limits`]: what a run may use; [`watchdog`]: its time; [`stopped`]: why it ended early
//! - `log`, `config`, `rows`, `asks`, `operations`, `commands`, `formats`, `policies`: one file an interface or two; `wasi`:
//!   what leads nowhere

mod asks;
mod bindings;
mod commands;
mod config;
mod formats;
mod guest;
mod imports;
pub mod limits;
mod log;
mod operations;
mod policies;
mod rows;
mod stopped;
mod versions;
mod wasi;
mod watchdog;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{FormatError, Host, Opinion, Plan, PlanError, Wanted};
use bootc_image_model::capability::Capability;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::view::View;
use bootc_image_model::weakened::is_off;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, InstanceAllocationStrategy, Store};

use crate::manifest::{Format, World};
use asks::Line;
use bindings::configurable::ConfigurablePre;
use bindings::imports::bootc_image::{host, policy};
use bindings::output::{Output, OutputPre};
use bindings::validator::ValidatorPre;
use bindings::wrapper::{Wrapper, WrapperPre};
use formats::{Listed, Stop};
use guest::Guest;
use limits::Limits;
use rows::Cursor;
use stopped::Ran;
use watchdog::{Clock, Watchdog};

pub(crate) use policies::BadSetting;

/// How often the components of a runtime run in one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Once: their memory is mapped for the run and unmapped after it.
    Once,
    /// Again and again: their memory is taken from a pool, and what a run has changed in it is undone when the run ends. Making
    /// the pool costs more than mapping memory once, using it less than mapping memory twice.
    Again,
}

impl Runs {
    pub(crate) fn of(world: World) -> Self {
        match world {
            World::CommandWrapper | World::FormatOutput => Self::Once,
            World::PolicyValidator => Self::Again,
        }
    }
}

/// wasmtime with what this host offers to components.
pub(crate) struct Runtime {
    engine: Engine,
    /// The settings of the engine, and the limits of its instances.
    settings: String,
    linker: Linker<Guest>,
    /// Runs while a component does, and until [`Runtime::rest`].
    watchdog: Mutex<Option<Watchdog>>,
    /// How many plugins may be waiting for something that they asked of the host: their time goes on when they have it.
    waiting: AtomicUsize,
}

/// For whom a component runs.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) plugin: PluginId,
    /// A JSON object.
    pub(crate) settings: Arc<str>,
    pub(crate) limits: Limits,
    /// What it asks for and was granted.
    pub(crate) capabilities: Arc<[Capability]>,
}

/// What is formatted, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    pub(crate) format: &'a Format,
    pub(crate) rows: &'a Arc<Vec<ImageRow>>,
    pub(crate) wanted: Wanted<'a>,
}

/// A policy that is ready to run again and again.
pub(crate) struct ReadyPolicy {
    pre: ValidatorPre<Guest>,
    wasi: bool,
}

impl Runtime {
    pub(crate) fn new(runs: Runs) -> wasmtime::Result<Self> {
        let mut config = bootc_image_engine_config::engine_config();
        if runs == Runs::Again {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(limits::pool()));
        }
        if is_off("stack") {
            config.max_wasm_stack(1 << 30).async_stack_size(2 << 30);
        }
        let settings = format!("{config:?} {} {:?}", runs == Runs::Again, limits::pool());
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        host::log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::config::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::images::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::transfers::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::rows::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        policy::operations::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        Ok(Self { engine, settings, linker, watchdog: Mutex::new(None), waiting: AtomicUsize::new(0) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Tells engines apart that may compile or take a component otherwise: by settings, limits and version.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.settings.hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Runs a component of the world `bootc-image:command/wrapper` once.
    pub(crate) fn plan(
        &self,
        identity: &Identity,
        component: &Component,
        name: &str,
        args: &[String],
        host: &dyn Host,
    ) -> Result<Plan, PlanError> {
        if !asks::may_ask(&identity.capabilities) {
            return self.plan_here(identity, component, name, args, None);
        }
        // What it asks for is done on this thread, while it waits on its own: its time and the host's are two things.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let plan = |line| self.plan_here(identity, component, name, args, Some(line));
        let planned = asks::with_line(host, plan);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        planned.unwrap_or_else(|reason| Err(PlanError::Unusable { plugin: identity.plugin.clone(), reason }))
    }

    fn plan_here(
        &self,
        identity: &Identity,
        component: &Component,
        name: &str,
        args: &[String],
        line: Option<Line>,
    ) -> Result<Plan, PlanError> {
        let unusable = |reason| PlanError::Unusable { plugin: identity.plugin.clone(), reason };
        let (linker, wasi) = self.linker_for(identity, component, World::CommandWrapper).map_err(unusable)?;
        let mut store = self.store(identity, wasi).map_err(unusable)?;
        store.data_mut().connect(line);
        let outcome = Wrapper::instantiate(&mut store, component, &linker)
            .and_then(|wrapper| commands::plan_run(&wrapper, &mut store, name, args));
        let reason = |error: wasmtime::Error| stopped::reason(&error, store.data().ran());
        match outcome.map_err(reason) {
            Ok(Ok(plan)) => Ok(commands::plan(plan)),
            Ok(Err(failure)) => Err(commands::failure(failure)),
            Err(reason) => Err(unusable(reason)),
        }
    }

    /// Links a component of the world `bootc-image:command/wrapper`, to see whether that can be done.
    pub(crate) fn prepare_command(&self, identity: &Identity, component: &Component) -> Result<(), String> {
        let (linker, _) = self.linker_for(identity, component, World::CommandWrapper)?;
        let ready = || WrapperPre::new(linker.instantiate_pre(component)?);
        ready().map(drop).map_err(|error| stopped::reason(&error, Ran::default()))
    }

    /// Links a component of the world `bootc-image:policy/validator`.
    pub(crate) fn prepare_policy(
        &self,
        identity: &Identity,
        component: &Component,
    ) -> Result<ReadyPolicy, String> {
        let (linker, wasi) = self.linker_for(identity, component, World::PolicyValidator)?;
        let ready = || ValidatorPre::new(linker.instantiate_pre(component)?);
        Ok(ReadyPolicy { pre: ready().map_err(|error| stopped::reason(&error, Ran::default()))?, wasi })
    }

    /// Asks a policy once. An error says why it has no opinion.
    pub(crate) fn evaluate(
        &self,
        identity: &Identity,
        policy: &ReadyPolicy,
        view: &Arc<View>,
    ) -> Result<Opinion, String> {
        let mut store = self.store(identity, policy.wasi)?;
        let outcome = policy
            .pre
            .instantiate(&mut store)
            .and_then(|validator| policies::evaluate(&validator, &mut store, view.clone()));
        match outcome {
            Ok(Ok(verdict)) => Ok(policies::opinion(&identity.plugin, &verdict)),
            Ok(Err(problem)) => Err(policies::failure(&problem)),
            Err(error) => Err(stopped::reason(&error, store.data().ran())),
        }
    }

    /// Links a component of the world `bootc-image:format/output`, to see whether that can be done.
    pub(crate) fn prepare_format(&self, identity: &Identity, component: &Component) -> Result<(), String> {
        let (linker, _) = self.linker_for(identity, component, World::FormatOutput)?;
        let ready = || OutputPre::new(linker.instantiate_pre(component)?);
        ready().map(drop).map_err(|error| stopped::reason(&error, Ran::default()))
    }

    /// Runs a component of the world `bootc-image:format/output` once: it formats a list. Nothing is taken apart afterwards: that
    /// would cost a fifth of the time, and a list is the last thing that a process does.
    pub(crate) fn format(
        &self,
        identity: &Identity,
        component: Component,
        list: List<'_>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError> {
        let plugin = || identity.plugin.clone();
        let unusable = |reason| FormatError::NotBegun { plugin: plugin(), reason };
        let component = ManuallyDrop::new(component);
        let (linker, wasi) = self.linker_for(identity, &component, World::FormatOutput).map_err(unusable)?;
        let linker = ManuallyDrop::new(linker);
        let columns = list.format.columns.iter().map(|column| column.name().to_owned()).collect();
        let cursor = Cursor::new(list.rows.clone(), list.format.columns.clone());
        let mut store = ManuallyDrop::new(self.store(identity, wasi).map_err(unusable)?);
        let listed = Listed { cursor, columns };
        let mut begun = false;
        let outcome = match Output::instantiate(&mut *store, &component, &linker) {
            Ok(output) => formats::format(&output, &mut store, list.wanted, listed, out, &mut begun),
            Err(error) => Err(error.into()),
        };
        let reason = match outcome {
            Ok(()) => return Ok(()),
            Err(Stop::Output(error)) => return Err(FormatError::Output(error)),
            Err(Stop::Problem(problem)) if !begun && problem.code == "usage" => {
                return Err(FormatError::Usage(policies::failure(&problem)));
            }
            Err(Stop::Problem(problem)) => policies::failure(&problem),
            Err(Stop::Plugin(error)) => stopped::reason(&error, store.data().ran()),
        };
        let plugin = plugin();
        Err(if begun {
            FormatError::Cut { plugin, reason }
        } else {
            FormatError::NotBegun { plugin, reason }
        })
    }

    /// Asks a component what is wrong with the settings in `identity`: nothing if it doesn't check them.
    pub(crate) fn check_settings(
        &self,
        identity: &Identity,
        component: &Component,
        world: World,
    ) -> Result<Vec<BadSetting>, String> {
        let (linker, wasi) = self.linker_for(identity, component, world)?;
        let pre =
            linker.instantiate_pre(component).map_err(|error| stopped::reason(&error, Ran::default()))?;
        // A component without the export isn't of this world.
        let Ok(pre) = ConfigurablePre::new(pre) else { return Ok(Vec::new()) };
        let mut store = self.store(identity, wasi)?;
        let checked = pre
            .instantiate(&mut store)
            .and_then(|configurable| policies::check_settings(&configurable, &mut store, &identity.settings));
        checked.map_err(|error| stopped::reason(&error, store.data().ran()))
    }

    /// What the component is linked with, and whether WASI is in it. Refuses one that wants what it can't have.
    fn linker_for(
        &self,
        identity: &Identity,
        component: &Component,
        world: World,
    ) -> Result<(Linker<Guest>, bool), String> {
        if !is_off("versions") {
            versions::check(&self.engine, component).map_err(|error| error.to_string())?;
        }
        let wasi = imports::check(&self.engine, component, world, &identity.capabilities)
            .map_err(|error| error.to_string())?;
        let mut linker = self.linker.clone();
        if wasi {
            wasi::link(&mut linker).map_err(|error| stopped::reason(&error, Ran::default()))?;
        }
        Ok((linker, wasi))
    }

    /// Stops the clock, unless a plugin would go on without one. The next run starts it again.
    pub(crate) fn rest(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 && !is_off("rest") {
            return;
        }
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        drop(watchdog.take());
    }

    fn start_clock(&self, limits: Limits) -> io::Result<Clock> {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        let ticks = match &*watchdog {
            Some(watchdog) => watchdog.ticks(),
            None => watchdog.insert(Watchdog::start(&self.engine)?).ticks(),
        };
        Ok(Clock::start(limits.guest_time, limits.wall_time, ticks))
    }

    /// A store whose limits hold from the first instruction on, those of its instantiation included. Without a clock there is
    /// none.
    fn store(&self, identity: &Identity, wasi: bool) -> Result<Store<Guest>, String> {
        let limits = identity.limits;
        let clock = self.start_clock(limits).map_err(|error| format!("no clock can be started: {error}"))?;
        let guest = Guest::new(identity, clock, wasi);
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| guest.budget());
        if !is_off("lifting") {
            store.set_hostcall_fuel(limits.call);
        }
        if !is_off("handles") {
            store.set_max_component_handles(limits.handles);
        }
        watchdog::obey(&mut store);
        Ok(store)
    }
}
