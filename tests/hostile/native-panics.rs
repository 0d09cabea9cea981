//! A native policy that panics.

use bootc_image_extension::{Host, Operation, Policy, Problem, Verdict, export_extension};

struct Panics;

impl Policy for Panics {
    fn evaluate(&self, _: &Host<'_>, _: &Operation) -> Result<Verdict, Problem> {
        panic!("nobody has thought of \u{1b}[31mthis");
    }
}

export_extension!(policy: Panics);
