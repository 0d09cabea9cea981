//! A plugin as the core's `Policy`: either its code, or the reason why it cannot judge.

use std::sync::{Arc, OnceLock};

use bootc_image_core::plugin::{Policy, PolicyFailure, PolicyVerdict};
use bootc_image_manifest::When;
use bootc_image_model::plugin::{PluginId, Provenance};
use bootc_image_model::plugin_settings::PluginSettings;
use bootc_image_model::policy_input::PolicyInput;

use crate::run::{Identity, Judge, NoOpinion};
use crate::trust::inventory::{Broken, Plugin, Status};

/// A policy, or a broken plugin that could be one.
pub(crate) struct JudgingPlugin {
    plugin: PluginId,
    parts: Option<Parts>,
    provenance: OnceLock<Option<Provenance>>,
    when: When,
    before_lookup: bool,
    /// How to continue without it, as an imperative.
    without: Option<String>,
    judge: Result<Box<dyn Judge>, PolicyFailure>,
}

/// What its provenance is computed from. Settings are hashed only for policies that judge.
struct Parts {
    version: String,
    code: String,
    manifest: String,
    settings: Arc<PluginSettings>,
}

impl JudgingPlugin {
    pub(crate) fn new(
        plugin: &Plugin,
        identity: Identity,
        without: Option<String>,
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
            without,
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
            without: None,
            judge: Err(failure),
        })
    }
}

impl JudgingPlugin {
    /// Has the digest of long settings computed while the policy judges: both take about a millisecond. If no thread can be started, it is
    /// computed when it is needed.
    fn begin_provenance(&self) {
        if let Some(settings) = self.settings_to_hash() {
            let _ = std::thread::Builder::new().spawn(move || settings.digest().len());
        }
    }

    /// The settings, if they are long and their digest has not been computed for an earlier operation.
    fn settings_to_hash(&self) -> Option<Arc<PluginSettings>> {
        let is_computed = self.provenance.get().is_some();
        let settings = self.parts.as_ref().map(|parts| parts.settings.clone());
        settings.filter(|settings| !settings.lists().is_empty() && !is_computed)
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
            settings: parts.settings.digest().to_owned(),
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
        self.begin_provenance();
        judge.evaluate(policy_input).map_err(|NoOpinion { reason, fix, asked }| {
            let see = || format!("to check the plugin, run: bootc-image plugin doctor {}", self.plugin);
            let fix = continued(&fix.unwrap_or_else(see), self.without.as_deref());
            PolicyFailure { reason, fix, asked }
        })
    }
}

/// A fix, and how to continue without the policy until then.
pub(super) fn continued(fix: &str, without: Option<&str>) -> String {
    without
        .map_or_else(|| fix.to_owned(), |without| format!("{fix}; to continue without the policy, {without}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::configuration::Configuration;

    #[test]
    fn only_the_first_operation_has_the_digest_of_long_settings_computed() {
        let plugin = PluginId::new("p").unwrap();
        for (count, is_long) in [(1, false), (200, true)] {
            let digests: Vec<String> = (0..count).map(|number| format!("\"sha256:{number:064x}\"")).collect();
            let mut configuration = Configuration::default();
            configuration.add(&format!("settings.p.digest = [{}]\n", digests.join(","))).unwrap();
            let policy = JudgingPlugin {
                plugin: plugin.clone(),
                parts: Some(Parts {
                    version: String::new(),
                    code: String::new(),
                    manifest: String::new(),
                    settings: Arc::new(configuration.settings_of(&plugin)),
                }),
                provenance: OnceLock::new(),
                when: When::default(),
                before_lookup: false,
                without: None,
                judge: Err(PolicyFailure { reason: String::new(), fix: String::new(), asked: false }),
            };
            assert_eq!(policy.settings_to_hash().is_some(), is_long);
            assert!(policy.provenance().is_some());
            assert!(policy.settings_to_hash().is_none());
        }
    }
}
