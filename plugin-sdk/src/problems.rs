//! Constructors for denials and failures.

use crate::{Denial, Failure, Problem};

impl Failure {
    /// A denial. `code` is a stable name in kebab case, `message` one sentence for a person.
    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Denied(Denial { code: code.into(), message: message.into(), hint: None, attrs: Vec::new() })
    }

    /// A failure. `code` is a stable name in kebab case, `message` one sentence for a person.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Problem { code: code.into(), message: message.into(), hint: None, attrs: Vec::new() })
    }

    /// A failure because of a usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::failed("usage", message)
    }

    /// Sets what the person can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        match &mut self {
            Self::Denied(Denial { hint: place, .. }) | Self::Failed(Problem { hint: place, .. }) => {
                *place = Some(hint.into());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_goes_to_either_kind() {
        let Failure::Denied(denial) = Failure::denied("no", "never").with_hint("ask") else {
            panic!("not denied")
        };
        assert_eq!((denial.code.as_str(), denial.message.as_str()), ("no", "never"));
        assert_eq!(denial.hint.as_deref(), Some("ask"));
        let Failure::Failed(problem) = Failure::usage("what?").with_hint("read") else {
            panic!("not failed")
        };
        assert_eq!((problem.code.as_str(), problem.hint.as_deref()), ("usage", Some("read")));
    }
}
