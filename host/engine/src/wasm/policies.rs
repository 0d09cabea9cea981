//! `bootc-image:policy/validate` and `bootc-image:host/settings`: asks, and translates the answer. All texts lose what could
//! deceive.

use std::sync::Arc;

use bootc_image_core::plugin::Opinion;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::view::View;
use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::configurable::Configurable;
use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::Problem;
use super::bindings::validator::Validator;
use super::bindings::validator::exports::bootc_image::policy::validate::{Decision, Verdict};
use super::guest::Guest;
use super::operations::Lent;
use crate::answers::{self, Words};
use crate::sanitize::sanitize;

/// A setting that a plugin doesn't accept, in its own words, already harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadSetting {
    /// Which one; empty if it doesn't say.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Calls `evaluate` with the operation lent for this one call.
pub(super) fn evaluate(
    validator: &Validator,
    store: &mut Store<Guest>,
    view: Arc<View>,
) -> wasmtime::Result<Result<Verdict, Problem>> {
    let owned = store.data_mut().table_mut().push(Lent(view))?;
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

fn key(problem: &Problem) -> &str {
    problem.attrs.iter().find(|attr| attr.key == "key").map(|attr| attr.value.as_str()).unwrap_or_default()
}

fn of_problem(problem: &Problem) -> Vec<&str> {
    let hint = problem.hint.as_deref().unwrap_or_default();
    [problem.code.as_str(), &problem.message, hint].into_iter().chain(of_attrs(&problem.attrs)).collect()
}

fn of_attrs(attrs: &[Attr]) -> impl Iterator<Item = &str> {
    attrs.iter().flat_map(|attr| [attr.key.as_str(), attr.value.as_str()])
}

fn texts(outcome: &Result<Verdict, Problem>) -> Vec<&str> {
    match outcome {
        Err(problem) => of_problem(problem),
        Ok(verdict) => {
            let mut texts: Vec<&str> = of_attrs(&verdict.attrs).chain([verdict.reason.as_str()]).collect();
            if let Decision::Deny(denial) = &verdict.decision {
                texts.extend([
                    denial.code.as_str(),
                    &denial.message,
                    denial.hint.as_deref().unwrap_or_default(),
                ]);
                texts.extend(of_attrs(&denial.attrs));
            }
            texts
        }
    }
}

/// The verdict for the core.
pub(super) fn opinion(plugin: &PluginId, verdict: &Verdict) -> Opinion {
    let denial = match &verdict.decision {
        Decision::Allow => None,
        Decision::Deny(denial) => {
            let hint = denial.hint.as_deref();
            Some(Words { code: &denial.code, message: &denial.message, hint })
        }
    };
    let attrs = verdict.attrs.iter().map(|attr| (attr.key.as_str(), attr.value.as_str()));
    answers::opinion(plugin, denial, &verdict.reason, attrs)
}

/// Why it has no opinion, in its own words.
pub(super) fn failure(problem: &Problem) -> String {
    let words = Words { code: &problem.code, message: &problem.message, hint: problem.hint.as_deref() };
    answers::sentence(words, key(problem))
}
