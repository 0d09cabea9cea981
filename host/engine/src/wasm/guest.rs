//! What the host keeps for one run.

use bootc_image_core::plugin::PluginId;

use super::limits::{Budget, Limits};

/// The host's side of one run.
pub(super) struct Guest {
    plugin: PluginId,
    budget: Budget,
    last_words: Option<String>,
}

impl Guest {
    pub(super) fn new(plugin: PluginId, limits: &'static Limits) -> Self {
        Self { plugin, budget: Budget::new(limits), last_words: None }
    }

    pub(super) fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    pub(super) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// What the guest said when it panicked, already harmless.
    pub(super) fn last_words(&self) -> Option<&str> {
        self.last_words.as_deref()
    }

    pub(super) fn set_last_words(&mut self, words: String) {
        self.last_words = Some(words);
    }
}

// Interfaces without functions.
impl super::bindings::bootc_image::types::attrs::Host for Guest {}
impl super::bindings::bootc_image::types::problems::Host for Guest {}
