//! `bootc-image:command/commands`: asks for a plan and translates the answer.

use bootc_image_core::plugin::{Plan, PlanError};
use wasmtime::Store;

use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::Failure;
use super::bindings::wrapper::Wrapper;
use super::bindings::wrapper::exports::bootc_image::command::commands as wit;
use super::guest::Guest;
use crate::answers::{self, Words};

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
    let (mut texts, attrs): (Vec<&str>, &[Attr]) = match outcome {
        Ok(plan) => (plan.argv.iter().chain([&plan.message]).map(String::as_str).collect(), &plan.attrs),
        Err(Failure::Denied(denial)) => {
            (vec![&denial.code, &denial.message, denial.hint.as_deref().unwrap_or_default()], &denial.attrs)
        }
        Err(Failure::Failed(problem)) => (
            vec![&problem.code, &problem.message, problem.hint.as_deref().unwrap_or_default()],
            &problem.attrs,
        ),
    };
    texts.extend(attrs.iter().flat_map(|attr| [attr.key.as_str(), attr.value.as_str()]));
    texts
}

/// The plan for the core.
pub(super) fn plan(plan: wit::Plan) -> Plan {
    answers::plan(plan.argv, &plan.message)
}

/// The refusal or failure for the core.
pub(super) fn failure(failure: Failure) -> PlanError {
    match failure {
        Failure::Denied(denial) => answers::denied(Words {
            code: &denial.code,
            message: &denial.message,
            hint: denial.hint.as_deref(),
        }),
        Failure::Failed(problem) => answers::failed(Words {
            code: &problem.code,
            message: &problem.message,
            hint: problem.hint.as_deref(),
        }),
    }
}
