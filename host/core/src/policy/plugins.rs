//! Judging by policies of plugins. If a policy gives no verdict for whatever reason, the operation is denied: otherwise breaking a
//! policy would be a way around it.

use std::sync::Arc;

use bootc_image_model::configuration::Configuration;
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::subject::Subject;

use crate::canonical::CanonicalOperation;
use crate::ops::Operation;
use crate::plugin::{PluginSetError, Plugins, Policy, PolicyFailure, PolicyVerdict};
use crate::policy::Verdict;

/// The code of denials for policies that gave no verdict.
pub(super) const FAILED: &str = "policy-failed";

/// A policy, or what denies in the place of one.
pub(super) enum PolicyJudge<'a> {
    Plugin {
        policy: &'a dyn Policy,
        /// Whether the operation continues if the policy fails.
        fail_open: bool,
    },
    /// A mandatory policy that is not installed.
    Missing {
        plugin: PluginId,
        /// Whether the configuration makes it mandatory; if not, its approval does.
        configured: bool,
        /// What to do so that it is no longer mandatory.
        stop: String,
    },
    /// The installed policies cannot be determined.
    Unknown(PluginSetError),
}

pub(super) fn judges<'a>(configuration: &Configuration, plugins: &'a dyn Plugins) -> Vec<PolicyJudge<'a>> {
    let policies = match plugins.policies() {
        Ok(policies) => policies,
        Err(error) => return vec![PolicyJudge::Unknown(error)],
    };
    let of_grants = plugins.mandatory();
    let of_grants = of_grants.iter().filter(|id| !configuration.mandatory.contains(id));
    let mandatory =
        configuration.mandatory.iter().map(|id| (id, true)).chain(of_grants.map(|id| (id, false)));
    let missing = mandatory.filter(|(id, _)| policies.iter().all(|policy| policy.plugin() != *id));
    let absent = |(id, configured): (&PluginId, bool)| PolicyJudge::Missing {
        plugin: id.clone(),
        configured,
        stop: plugins.how_to_stop_requiring(id),
    };
    let missing: Vec<_> = missing.map(absent).collect();
    let plugin = |policy: &'a dyn Policy| PolicyJudge::Plugin {
        policy,
        fail_open: configuration.fail_open.contains(policy.plugin()),
    };
    policies.into_iter().map(plugin).chain(missing).collect()
}

/// Collects the verdicts of all policies that the operation concerns.
pub(super) fn judge(
    judges: &[PolicyJudge<'_>],
    canonical: &CanonicalOperation,
    verdicts: &mut Vec<Verdict>,
    not_selected: &mut Vec<PluginId>,
    waiting: &mut Vec<String>,
) {
    // Most hosts have no policies, and need no policy input.
    if judges.is_empty() {
        return;
    }
    let Some(policy_input) = canonical.policy_input().map(Arc::new) else { return };
    for judge in judges {
        match judge {
            PolicyJudge::Missing { plugin, configured, stop } => {
                let failure = missing(*configured, stop);
                let excused = is_excused(canonical, failure.asked);
                verdicts.push(verdict(plugin, Err(failure), false, excused));
            }
            PolicyJudge::Unknown(error) => {
                let denied_by = DeniedBy::Host("plugins");
                let message = format!("cannot determine which policies are installed: {error}");
                verdicts.push(if is_excused(canonical, false) {
                    Verdict { failed_open: Some(message), ..Verdict::new(denied_by.to_string(), None) }
                } else {
                    unable(denied_by, message, error.fix())
                });
            }
            PolicyJudge::Plugin { policy, .. } if !policy.concerns(&policy_input) => {
                not_selected.push(policy.plugin().clone());
            }
            PolicyJudge::Plugin { policy, .. } if !canonical.is_resolved() && !policy.judges_unresolved() => {
                waiting.push(policy.plugin().to_string());
            }
            PolicyJudge::Plugin { policy, fail_open } => {
                // A delegated caller could make a policy fail, for example by stopping the process until its time limit is over.
                let may_fail = *fail_open && canonical.subject().delegation.is_none();
                let opinion = policy.evaluate(&policy_input);
                let excused = matches!(&opinion, Err(failure) if is_excused(canonical, failure.asked));
                let verdict = verdict(policy.plugin(), opinion, may_fail, excused);
                verdicts.push(Verdict { provenance: policy.provenance().cloned(), ..verdict });
            }
        }
    }
}

/// Whether an operation runs although a policy gave no verdict: a user must be able to list images whatever is broken. That does not
/// include plugins. Nor does it include policies that ran for a delegated caller, who could have made them fail.
fn is_excused(canonical: &CanonicalOperation, asked: bool) -> bool {
    let Subject { plugin, delegation, .. } = canonical.subject();
    matches!(canonical.operation(), Operation::List(_))
        && plugin.is_none()
        && (delegation.is_none() || !asked)
}

fn missing(configured: bool, stop: &str) -> PolicyFailure {
    let reason = if configured {
        "the configuration makes it mandatory, but it is not installed or is masked"
    } else {
        "it was approved as mandatory, but it is not installed or is masked"
    };
    let fix = format!("install it or remove its mask, or {stop}");
    PolicyFailure { reason: reason.to_owned(), fix, asked: false }
}

/// `fail_open` is set by the configuration and logged here. `excused` is set for lists, and the caller of the pipeline is told.
fn verdict(
    plugin: &PluginId,
    opinion: Result<PolicyVerdict, PolicyFailure>,
    fail_open: bool,
    excused: bool,
) -> Verdict {
    match opinion {
        Ok(PolicyVerdict { denial, annotations }) => {
            Verdict { annotations, ..Verdict::new(plugin.as_str(), denial) }
        }
        Err(PolicyFailure { reason, asked, .. }) if fail_open && asked => {
            tracing::warn!(%plugin, reason, "a policy failed; because of [policy] fail-open the operation goes on without it");
            Verdict { failed_open: Some(reason), ..Verdict::new(plugin.as_str(), None) }
        }
        Err(PolicyFailure { reason, .. }) if excused => {
            Verdict { failed_open: Some(reason), ..Verdict::new(plugin.as_str(), None) }
        }
        Err(PolicyFailure { reason, fix, .. }) => failed(plugin, &reason, &fix),
    }
}

fn failed(policy: &PluginId, reason: &str, fix: &str) -> Verdict {
    unable(DeniedBy::Policy(policy.clone()), format!("cannot judge this operation: {reason}"), fix)
}

fn unable(denied_by: DeniedBy, message: String, fix: &str) -> Verdict {
    let validator = denied_by.to_string();
    Verdict::new(
        validator,
        Some(Denial { denied_by, code: FAILED.to_owned(), message, hint: Some(fix.to_owned()) }),
    )
}
