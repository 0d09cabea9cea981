//! Runs components. Every run has a store of its own, which goes when the run ends: nothing is remembered, and an instance
//! that trapped is never entered again.
//!
//! - [`bindings`]: generated from `wit/`
//! - [`imports`]: what a component asks for, compared with what it may have, before anything is linked
//! - [`guest`]: what the host keeps for one run
//! - [`limits`]: what a run may use; [`watchdog`]: its time; [`stopped`]: why it ended early
//! - `log`, `config`, `commands`: one file an interface

mod bindings;
mod commands;
mod config;
mod guest;
mod imports;
mod limits;
mod log;
mod stopped;
mod watchdog;

use bootc_image_core::plugin::{Plan, PlanError, PluginId};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use bindings::Wrapper;
use bindings::bootc_image::host;
use guest::Guest;
use limits::{COMMAND, Limits};
use watchdog::Watchdog;

/// wasmtime with what this host offers to components.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<Guest>,
}

impl Runtime {
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&bootc_image_engine_config::engine_config())?;
        let mut linker = Linker::new(&engine);
        host::log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        host::config::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        Ok(Self { engine, linker })
    }

    /// Runs a component of the world `bootc-image:command/wrapper` once.
    pub(crate) fn plan(
        &self,
        plugin: &PluginId,
        artefact: &[u8],
        name: &str,
        args: &[String],
    ) -> Result<Plan, PlanError> {
        let mut store = self.store(plugin, &COMMAND);
        let outcome = self.run(&mut store, artefact, name, args);
        let reason = |error: wasmtime::Error| stopped::reason(&error, store.data().last_words());
        match outcome.map_err(reason) {
            Ok(Ok(plan)) => Ok(commands::plan(plan)),
            Ok(Err(failure)) => Err(commands::failure(failure)),
            Err(reason) => Err(PlanError::Unusable { plugin: plugin.clone(), reason }),
        }
    }

    fn run(
        &self,
        store: &mut Store<Guest>,
        artefact: &[u8],
        name: &str,
        args: &[String],
    ) -> wasmtime::Result<commands::Outcome> {
        let component = self.load(artefact)?;
        imports::check(&self.engine, &component)?;
        let _watchdog = Watchdog::start(&self.engine, COMMAND.time)?;
        let wrapper = Wrapper::instantiate(&mut *store, &component, &self.linker)?;
        commands::plan_run(&wrapper, store, name, args)
    }

    fn load(&self, artefact: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes come from an `Artefact`, whose maker vouched that they are unchanged since our own compiler
        // wrote them. wasmtime itself refuses what another version of it, or other settings, wrote.
        #[allow(unsafe_code)]
        unsafe {
            Component::deserialize(&self.engine, artefact)
        }
    }

    /// A store whose limits hold from the first instruction on, those of its instantiation included.
    fn store(&self, plugin: &PluginId, limits: &'static Limits) -> Store<Guest> {
        let mut store = Store::new(&self.engine, Guest::new(plugin.clone(), limits));
        store.limiter(|guest| guest.budget());
        store.set_hostcall_fuel(limits.transfer);
        store.set_max_component_handles(limits.handles);
        watchdog::obey(&mut store, limits.time);
        store
    }
}
