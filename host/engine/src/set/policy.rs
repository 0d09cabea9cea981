//! A plugin as the core's `Policy`: either its code, or the reason why it cannot judge.

use std::sync::{Arc, OnceLock};

use bootc_image_core::plugin::{Policy, PolicyFailure, PolicyVerdict};
use bootc_image_model::plugin::{PluginId, Provenance};
use bootc_image_model::policy_input::PolicyInput;

use crate::manifest::When;
use crate::run::{Identity, Judge, NoOpinion};
use crate::trust::code::hex;
use crate::trust::inventory::{Broken, Plugin, Status};

/// A policy, or a broken plugin that could be one.
pub(crate) struct JudgingPlugin {
    plugin: PluginId,
    parts: Option<Parts>,
    provenance: OnceLock<Option<Provenance>>,
    when: When,
    before_lookup: bool,
    judge: Result<Box<dyn Judge>, PolicyFailure>,
}

/// What its provenance is computed from. Settings are hashed only for policies that judge.
struct Parts {
    version: String,
    code: String,
    manifest: String,
    settings: Arc<str>,
}

impl JudgingPlugin {
    pub(crate) fn new(
        plugin: &Plugin,
        identity: Identity,
        judge: impl FnOnce(Identity) -> Box<dyn Judge>,
    ) -> Self {
        let parts = plugin.manifest.component.sha256.as_ref().map(|code| Parts {
            version: plugin.manifest.version.to_string(),
            code: code.clone(),
            manifest: plugin.manifest_sha256.clone(),
            settings: identity.settings.clone(),
        });
        let judge = match &plugin.standing {
            Status::Enabled => Ok(judge(identity)),
            Status::Disabled { reason, fix } => {
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
            provenance: OnceLock::new(),
            when,
            before_lookup,
            judge,
        }
    }

    /// A policy that always fails; none if the broken plugin cannot be a policy.
    pub(crate) fn broken(broken: &Broken) -> Option<Self> {
        let failure = PolicyFailure { reason: broken.reason.clone(), fix: broken.fix.clone(), asked: false };
        broken.may_be_policy.then(|| Self {
            plugin: PluginId::new(&broken.id).unwrap_or_else(|_| PluginId::unknown()),
            parts: None,
            provenance: OnceLock::new(),
            when: When::default(),
            before_lookup: true,
            judge: Err(failure),
        })
    }
}

impl Policy for JudgingPlugin {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn provenance(&self) -> Option<&Provenance> {
        let provenance = |parts: &Parts| Provenance {
            version: parts.version.clone(),
            code: parts.code.clone(),
            manifest: parts.manifest.clone(),
            settings: hex(parts.settings.as_bytes()),
        };
        self.provenance.get_or_init(|| self.parts.as_ref().map(provenance)).as_ref()
    }

    fn concerns(&self, policy_input: &PolicyInput) -> bool {
        self.when.concerns(policy_input)
    }

    fn judges_unresolved(&self) -> bool {
        self.before_lookup
    }

    fn evaluate(&self, policy_input: &Arc<PolicyInput>) -> Result<PolicyVerdict, PolicyFailure> {
        let judge = self.judge.as_ref().map_err(Clone::clone)?;
        judge.evaluate(policy_input).map_err(|NoOpinion { reason, fix, asked }| PolicyFailure {
            reason,
            fix: fix.unwrap_or_else(|| {
                format!("to check the plugin, run: bootc-image plugin doctor {}", self.plugin)
            }),
            asked,
        })
    }
}
