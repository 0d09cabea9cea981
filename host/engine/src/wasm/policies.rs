//! `bootc-image:policy/validate` and `bootc-image:host/settings`: calls them and converts the answers. All texts are sanitized.

use std::sync::Arc;

use bootc_image_core::plugin::PolicyVerdict;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::policy_input::PolicyInput;
use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::configurable::Configurable;
use super::bindings::imports::bootc_image::types::problems::Problem;
use super::bindings::validator::Validator;
use super::bindings::validator::exports::bootc_image::policy::validate::{Decision, Verdict};
use super::guest::Guest;
use super::operations::Lent;
use super::texts::{key, of_attrs, of_denial, of_problem};
use crate::run::{BadSetting, answers};
use crate::sanitize::sanitize;

/// Calls `evaluate`. The handle of the operation is valid only during this call.
pub(super) fn evaluate(
    validator: &Validator,
    store: &mut Store<Guest>,
    policy_input: Arc<PolicyInput>,
) -> wasmtime::Result<Result<Verdict, Problem>> {
    let owned = store.data_mut().table_mut().push(Lent(policy_input))?;
    let borrowed = Resource::new_borrow(owned.rep());
    let outcome = validator.bootc_image_policy_validate().call_evaluate(&mut *store, borrowed)?;
    store.data_mut().table_mut().delete(owned)?;
    store.data_mut().budget().write(texts(&outcome))?;
    Ok(outcome)
}

/// Calls `check`.
pub(super) fn check_settings(
    configurable: &Configurable,
    store: &mut Store<Guest>,
    settings: &str,
) -> wasmtime::Result<Vec<BadSetting>> {
    store.data_mut().budget().transfer([settings])?;
    let Err(problems) = configurable.bootc_image_host_settings().call_check(&mut *store, settings)? else {
        return Ok(Vec::new());
    };
    store.data_mut().budget().write(problems.iter().flat_map(of_problem).collect::<Vec<_>>())?;
    let bad =
        |problem: Problem| BadSetting { key: sanitize(key(&problem)), message: sanitize(&problem.message) };
    Ok(problems.into_iter().map(bad).collect())
}

fn texts(outcome: &Result<Verdict, Problem>) -> Vec<&str> {
    match outcome {
        Err(problem) => of_problem(problem).collect(),
        Ok(verdict) => {
            let texts = of_attrs(&verdict.attrs).chain([verdict.reason.as_str()]);
            match &verdict.decision {
                Decision::Allow => texts.collect(),
                Decision::Deny(denial) => texts.chain(of_denial(denial)).collect(),
            }
        }
    }
}

/// Converts the verdict for the core.
pub(super) fn opinion(plugin: &PluginId, verdict: &Verdict) -> PolicyVerdict {
    let denial = match &verdict.decision {
        Decision::Allow => None,
        Decision::Deny(denial) => Some(denial.into()),
    };
    let attrs = verdict.attrs.iter().map(|attr| (attr.key.as_str(), attr.value.as_str()));
    answers::opinion(plugin, denial, &verdict.reason, attrs)
}
