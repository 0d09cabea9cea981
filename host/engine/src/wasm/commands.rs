//! `bootc-image:command/commands`: asks for a plan and translates the answer.

use bootc_image_core::plugin::{Plan, PlanError};
use wasmtime::Store;

use super::bindings::imports::bootc_image::types::problems::Failure;
use super::bindings::wrapper::Wrapper;
use super::bindings::wrapper::exports::bootc_image::command::commands as wit;
use super::guest::Guest;
use super::texts;
use crate::run::answers;

/// What a component answers.
pub(super) type Outcome = Result<wit::Plan, Failure>;

/// Calls `plan-run`. What goes in and what comes out is paid for, an answer that is too long is none.
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

/// The plan for the core.
pub(super) fn plan(plan: wit::Plan) -> Plan {
    answers::plan(plan.argv, &plan.message)
}

/// The refusal or failure for the core.
pub(super) fn failure(failure: &Failure) -> PlanError {
    match failure {
        Failure::Denied(denial) => answers::denied(denial.into()),
        Failure::Failed(problem) => answers::failed(problem.into()),
    }
}
