//! `bootc-image:command/commands`: asks for a plan and translates the answer. Texts for people lose what could deceive;
//! the plan's arguments stay as they are, for they are data: the pipeline parses them.

use bootc_image_core::plugin::{Plan, PlanError};
use wasmtime::Store;

use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::Failure;
use super::bindings::wrapper::Wrapper;
use super::bindings::wrapper::exports::bootc_image::command::commands as wit;
use super::guest::Guest;
use crate::sanitize::sanitize;

/// What a component answers.
pub(super) type Outcome = Result<wit::Plan, Failure>;

/// Stands for a code that isn't one.
const NO_CODE: &str = "unspecified";

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
    Plan { argv: plan.argv, message: sanitize(&plan.message) }
}

/// The refusal or failure for the core. A code that isn't one changes nothing about which of the two it is.
pub(super) fn failure(failure: Failure) -> PlanError {
    match failure {
        Failure::Denied(denial) => PlanError::Denied {
            code: code(denial.code),
            message: sanitize(&denial.message),
            hint: denial.hint.as_deref().map(sanitize),
        },
        Failure::Failed(problem) => PlanError::Failed {
            code: code(problem.code),
            message: sanitize(&problem.message),
            hint: problem.hint.as_deref().map(sanitize),
        },
    }
}

pub(super) fn code(code: String) -> String {
    let kebab = code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if kebab && (1..=64).contains(&code.len()) { code } else { NO_CODE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kebab_case_is_a_code() {
        assert_eq!(code("not-in-allowlist".to_owned()), "not-in-allowlist");
        for text in ["", "Two Words", "a\u{1b}b", &"x".repeat(65)] {
            assert_eq!(code(text.to_owned()), NO_CODE);
        }
    }
}
