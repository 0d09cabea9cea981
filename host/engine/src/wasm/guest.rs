//! The state of one run on the host's side.

use std::sync::Arc;

use bootc_image_model::capability::Capability;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::plugin_settings::PluginSettings;
use wasmtime::component::ResourceTable;

use super::asks::Requests;
use super::stopped::RunInfo;
use super::wasi::Wasi;
use super::watchdog::Clock;
use crate::limits::Budget;
use crate::run::Identity;

/// The state of one run on the host's side.
pub(super) struct Guest {
    plugin: PluginId,
    settings: Arc<PluginSettings>,
    budget: Budget,
    panic_message: Option<String>,
    clock: Clock,
    table: ResourceTable,
    /// Only for components that import WASI.
    wasi: Option<Box<Wasi>>,
    /// The capabilities that it requests and was granted.
    capabilities: Arc<[Capability]>,
    /// The channels to the host, for a wrapper that can make requests.
    requests: Option<Requests>,
}

impl Guest {
    pub(super) fn new(identity: &Identity, clock: Clock, wasi: bool) -> Self {
        let Identity { plugin, settings, limits, capabilities } = identity.clone();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let wasi = wasi.then(Box::default);
        Self {
            plugin,
            settings,
            budget: Budget::new(limits),
            panic_message: None,
            clock,
            table,
            wasi,
            capabilities,
            requests: None,
        }
    }

    /// Sets the channels to the host.
    pub(super) fn connect(&mut self, requests: Option<Requests>) {
        self.requests = requests;
    }

    /// The channels to the host, if there are any.
    pub(super) fn requests(&self) -> Option<&Requests> {
        self.requests.as_ref()
    }

    /// The capabilities that it requests and was granted.
    pub(super) fn capabilities(&self) -> Arc<[Capability]> {
        self.capabilities.clone()
    }

    pub(super) fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    /// The plugin's settings.
    pub(super) fn own_settings(&self) -> Arc<PluginSettings> {
        self.settings.clone()
    }

    pub(super) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// The host's resources to which the component has handles.
    pub(super) fn table(&self) -> &ResourceTable {
        &self.table
    }

    pub(super) fn table_mut(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    pub(super) fn wasi_and_table(&mut self) -> (&mut Wasi, &mut ResourceTable) {
        (self.wasi.get_or_insert_default(), &mut self.table)
    }

    /// The time limits of the run.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The information that explains why a run ended early.
    pub(super) fn run_info(&self) -> RunInfo<'_> {
        RunInfo { panic_message: self.panic_message.as_deref(), limits: Some(self.budget.limits()) }
    }

    pub(super) fn set_panic_message(&mut self, message: String) {
        self.panic_message = Some(message);
    }
}

// These interfaces have types but no functions.
impl super::bindings::imports::bootc_image::types::attrs::Host for Guest {}
impl super::bindings::imports::bootc_image::types::problems::Host for Guest {}
