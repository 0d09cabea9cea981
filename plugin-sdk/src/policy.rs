//! Plugins that allow or deny operations.
//!
//! ```
//! use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
//! use bootc_image_plugin_sdk::{Problem, export_policy};
//!
//! struct OfficeHours;
//!
//! impl Policy for OfficeHours {
//!     fn evaluate(operation: &Operation) -> Result<Verdict, Problem> {
//!         Ok(match operation.attr("caller.via") {
//!             Some(_) => Verdict::deny("not-by-sudo", "operators don't change images"),
//!             None => Verdict::allow("root itself asks"),
//!         })
//!     }
//! }
//!
//! export_policy!(OfficeHours);
//! ```

use crate::bindings::imports::bootc_image::policy::operations;
use crate::bindings::validator::exports::bootc_image::policy::validate;
use crate::{Attr, Denial, Problem, panics};

pub use crate::bindings::imports::bootc_image::types::references::Reference;
pub use operations::Image;
pub use validate::{Decision, Verdict};

/// What is being judged: a copy of all that the host tells, so that a native test can make one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operation {
    /// Such as `copy-to-storage` or `cmd pull`; an open set.
    pub kind: String,
    /// Of `cmd`: what podman would get after the subcommand.
    pub argv: Vec<String>,
    /// The images that it is about.
    pub images: Vec<Image>,
    /// Names the operation in records: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Everything else, sorted by key; the keys are described with `operations.attrs` in the WIT.
    pub attrs: Vec<Attr>,
}

impl Operation {
    /// One attribute, none if it isn't known.
    pub fn attr(&self, key: &str) -> Option<&str> {
        self.attrs.iter().find(|attr| attr.key == key).map(|attr| attr.value.as_str())
    }

    /// Whether names have been looked up, so that what will run has its digest.
    pub fn resolved(&self) -> bool {
        self.attr("resolved") != Some("false")
    }

    /// The user who asks, none if that can't be told.
    pub fn uid(&self) -> Option<u32> {
        self.attr("caller.uid")?.parse().ok()
    }

    fn read(operation: &operations::Operation) -> Self {
        Self {
            kind: operation.kind(),
            argv: operation.argv(),
            images: operation.images(),
            digest: operation.digest(),
            attrs: operation.attrs(""),
        }
    }
}

/// A plugin that judges operations. Export it with [`export_policy!`](crate::export_policy).
pub trait Policy {
    /// Judges one operation. Called once in the life of an instance; the same operation and the same settings must give the
    /// same verdict.
    ///
    /// # Errors
    /// A [`Problem`] if it can't decide, which counts as a denial.
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem>;
}

impl Verdict {
    /// No objection. `reason` is one sentence for a person, or empty.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow, reason: reason.into(), attrs: Vec::new() }
    }

    /// The operation must not run. `code` is a stable name in kebab case, `message` one sentence for a person.
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        let denial = Denial { code: code.into(), message: message.into(), hint: None, attrs: Vec::new() };
        Self { decision: Decision::Deny(denial), reason: String::new(), attrs: Vec::new() }
    }

    /// Says what the person can do next, of a denial.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Decision::Deny(denial) = &mut self.decision {
            denial.hint = Some(hint.into());
        }
        self
    }

    /// A detail for the audit record.
    #[must_use]
    pub fn with_attr(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attrs.push(Attr { key: key.into(), value: value.into() });
        self
    }
}

impl<T: Policy> validate::Guest for T {
    fn evaluate(operation: &operations::Operation) -> Result<Verdict, Problem> {
        panics::forward();
        T::evaluate(&Operation::read(operation))
    }
}

/// Makes a type that implements [`Policy`](crate::policy::Policy) the plugin of this crate. Once a crate, where the type is in scope.
#[macro_export]
macro_rules! export_policy {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::validator::export_validator!($plugin);

        // Natively nothing is exported, but a type that doesn't fit should be an error there too.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::policy::Operation) -> Result<$crate::policy::Verdict, $crate::Problem> =
            <$plugin as $crate::policy::Policy>::evaluate;
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_key() {
        let attr = |key: &str, value: &str| Attr { key: key.to_owned(), value: value.to_owned() };
        let attrs = vec![attr("caller.uid", "1000"), attr("resolved", "false")];
        let operation = Operation { attrs, ..Operation::default() };
        assert_eq!((operation.uid(), operation.resolved()), (Some(1000), false));
        assert_eq!((Operation::default().uid(), Operation::default().resolved()), (None, true));
    }

    #[test]
    fn only_a_denial_takes_a_hint() {
        let Decision::Deny(denial) = Verdict::deny("no", "never").with_hint("ask").decision else {
            panic!("not denied")
        };
        assert_eq!((denial.code.as_str(), denial.hint.as_deref()), ("no", Some("ask")));
        let allowed = Verdict::allow("why not").with_hint("ask").with_attr("rule", "1");
        assert_eq!((allowed.decision, allowed.attrs.len()), (Decision::Allow, 1));
    }
}
