//! The texts in the answers of components, for the budget and for the conversion.

use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::{Denial, Failure, Problem};
use crate::run::answers::Explanation;

pub(super) fn of_attrs(attrs: &[Attr]) -> impl Iterator<Item = &str> + Clone {
    attrs.iter().flat_map(|attr| [attr.key.as_str(), attr.value.as_str()])
}

pub(super) fn of_problem(problem: &Problem) -> impl Iterator<Item = &str> {
    of_explanation(problem.into()).chain(of_attrs(&problem.attrs))
}

pub(super) fn of_denial(denial: &Denial) -> impl Iterator<Item = &str> {
    of_explanation(denial.into()).chain(of_attrs(&denial.attrs))
}

pub(super) fn of_failure(failure: &Failure) -> Vec<&str> {
    match failure {
        Failure::Denied(denial) => of_denial(denial).collect(),
        Failure::Failed(problem) => of_problem(problem).collect(),
    }
}

fn of_explanation(explanation: Explanation<'_>) -> impl Iterator<Item = &str> {
    [explanation.code, explanation.message, explanation.hint.unwrap_or_default()].into_iter()
}

/// The setting that a problem names, or an empty text.
pub(super) fn key(problem: &Problem) -> &str {
    problem.attrs.iter().find(|attr| attr.key == "key").map(|attr| attr.value.as_str()).unwrap_or_default()
}

impl<'a> From<&'a Problem> for Explanation<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self { code: &problem.code, message: &problem.message, hint: problem.hint.as_deref() }
    }
}

impl<'a> From<&'a Denial> for Explanation<'a> {
    fn from(denial: &'a Denial) -> Self {
        Self { code: &denial.code, message: &denial.message, hint: denial.hint.as_deref() }
    }
}
