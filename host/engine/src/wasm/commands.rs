//! `bootc-image:command/commands`: calls `plan-run` and converts the answer.

use bootc_image_core::plugin::{Plan, PlanError};
use wasmtime::Store;

use super::bindings::imports::bootc_image::types::problems::Failure;
use super::bindings::wrapper::Wrapper;
use super::bindings::wrapper::exports::bootc_image::command::commands as wit;
use super::guest::Guest;
use super::texts;
use crate::run::answers;

/// The answer of a component.
pub(super) type Outcome = Result<wit::Plan, Failure>;

/// Calls `plan-run`. Arguments and answer are counted against the budget; an answer that exceeds it is an error.
pub(super) fn plan_run(
    wrapper: &Wrapper,
    store: &mut Store<Guest>,
    name: &str,
    args: &[String],
) -> wasmtime::Result<Outcome> {
    let given = args.iter().map(String::as_str).chain([name]);
    store.data_mut().budget().transfer(given)?;
    let outcome = wrapper.bootc_image_command_commands().call_plan_run(&mut *store, name, args)?;
    store.data_mut().budget().write(texts(&outcome))?;
    Ok(outcome)
}

fn texts(outcome: &Outcome) -> Vec<&str> {
    match outcome {
        Ok(plan) => {
            let texts = plan.argv.iter().chain([&plan.message]).map(String::as_str);
            texts.chain(texts::of_attrs(&plan.attrs)).collect()
        }
        Err(failure) => texts::of_failure(failure),
    }
}

/// Converts the plan for the core.
pub(super) fn plan(plan: wit::Plan) -> Plan {
    answers::plan(plan.argv, &plan.message)
}

/// Converts the denial or failure for the core.
pub(super) fn failure(failure: &Failure) -> PlanError {
    match failure {
        Failure::Denied(denial) => answers::denied(denial.into()),
        Failure::Failed(problem) => answers::failed(problem.into()),
    }
}
