//! wasmtime with the functions that components are linked with, and the stores of runs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bootc_image_manifest::World;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, InstanceAllocationStrategy, Store};

use super::bindings::imports::bootc_image::{host, policy};
use super::guest::Guest;
use super::stopped::{self, RunInfo};
use super::watchdog::{self, Clock, Watchdog};
use super::{exports, imports, pool, versions, wasi};
use crate::limits::Limits;
use crate::run::Identity;
use crate::unusable::Unusable;

/// How often the components of a runtime run during one command of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Once: memory is mapped for the run and unmapped after it.
    Once,
    /// Several times: memory comes from a pool and is reset after each run. Creating the pool takes longer than mapping memory once,
    /// but less time than mapping it twice.
    Again,
}

impl Runs {
    pub(super) fn of(world: World) -> Self {
        match world {
            World::CommandWrapper | World::FormatOutput => Self::Once,
            World::PolicyValidator => Self::Again,
        }
    }
}

/// wasmtime with the functions that this host provides to components.
pub(super) struct Runtime {
    engine: Engine,
    /// The settings of the engine, and the limits of its instances.
    settings: String,
    linker: Linker<Guest>,
    /// Runs from the first run of a component until [`Runtime::stop_timer`].
    watchdog: Mutex<Option<Watchdog>>,
    /// The number of plugins that may be waiting for the host to answer a request. They still need the timer afterwards.
    pub(super) waiting: AtomicUsize,
}

impl Runtime {
    pub(super) fn new(runs: Runs) -> wasmtime::Result<Self> {
        let mut config = bootc_image_engine_config::engine_config();
        if runs == Runs::Again {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool::pool()));
        }
        let settings = format!("{config:?} {} {:?}", runs == Runs::Again, pool::pool());
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        host::log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::config::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::digest_lists::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::images::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::transfers::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::rows::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        policy::operations::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        Ok(Self { engine, settings, linker, watchdog: Mutex::new(None), waiting: AtomicUsize::new(0) })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Differs between engines that may accept or refuse different components: depends on settings, limits and version.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.settings.hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Links a component. Also returns whether it imports WASI.
    pub(super) fn link(
        &self,
        identity: &Identity,
        component: &Component,
        world: World,
    ) -> Result<(InstancePre<Guest>, bool), Unusable> {
        let (linker, wasi) = self.linker_for(identity, component, world)?;
        Ok((linker.instantiate_pre(component).map_err(unlinked)?, wasi))
    }

    /// The linker for a component, and whether it imports WASI. Refuses a component that imports what it may not.
    pub(super) fn linker_for(
        &self,
        identity: &Identity,
        component: &Component,
        world: World,
    ) -> Result<(Linker<Guest>, bool), Unusable> {
        versions::check(&self.engine, component).map_err(|error| error.to_string())?;
        let wanted = imports::check(&self.engine, component, world, &identity.capabilities)?;
        exports::check(&self.engine, component, world)?;
        let mut linker = self.linker.clone();
        if wanted.wasi {
            wasi::link(&mut linker, &wanted.items).map_err(unlinked)?;
        }
        Ok((linker, wanted.wasi))
    }

    /// Stops the timer, unless a waiting plugin will need it. The next run starts it again.
    pub(super) fn stop_timer(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
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

    /// Creates a store. Its limits apply from the first instruction, including those of the instantiation. Fails if the timer cannot
    /// be started.
    pub(super) fn store(&self, identity: &Identity, wasi: bool) -> Result<Store<Guest>, Unusable> {
        let limits = identity.limits;
        let clock = self
            .start_clock(limits)
            .map_err(|error| format!("cannot start the timer for its time limits: {error}"))?;
        let guest = Guest::new(identity, clock, wasi);
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| guest.budget());
        store.set_hostcall_fuel(limits.call);
        store.set_max_component_handles(limits.handles);
        watchdog::enforce(&mut store);
        Ok(store)
    }
}

/// Why a component cannot be linked. None of its code has run.
pub(super) fn unlinked(error: wasmtime::Error) -> Unusable {
    stopped::reason(&error, RunInfo::default()).into()
}
