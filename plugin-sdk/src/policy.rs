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
//!             Some(_) => Verdict::deny("not-by-sudo", "operators must not change images"),
//!             None => Verdict::allow("the caller is not delegated"),
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

/// The operation that is judged. It is a copy of everything that bootc-image provides, so that native tests can create one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operation {
    /// The kind, such as `copy-to-storage` or `cmd pull`. More kinds may be added.
    pub kind: String,
    /// For `cmd`: the arguments that podman would get after the subcommand. Empty for all other kinds.
    pub argv: Vec<String>,
    /// The images that the operation uses.
    pub images: Vec<Image>,
    /// The operation digest, as in the audit record: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// All attributes, sorted by key. The WIT describes the keys at `operations.attrs`.
    pub attrs: Vec<Attr>,
}

impl Operation {
    /// Returns the value of an attribute, or none if it is absent.
    pub fn attr(&self, key: &str) -> Option<&str> {
        self.attrs.iter().find(|attr| attr.key == key).map(|attr| attr.value.as_str())
    }

    /// Returns whether names are resolved, so that every image that will be used has its digest.
    pub fn resolved(&self) -> bool {
        self.attr("resolved") != Some("false")
    }

    /// Returns the user ID of the caller, or none if it is unknown. For a delegated caller, it is that of the user who became root.
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
    /// Judges one operation. Called once per instance. The same operation and the same settings must give the same verdict.
    ///
    /// # Errors
    /// A [`Problem`] if the policy cannot decide. That denies the operation, unless the administrator listed the plugin under
    /// `fail-open` and the caller is not a delegated caller (one who became root through sudo, pkexec, doas or a setuid program).
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem>;
}

impl Verdict {
    /// Allows the operation. `reason` is one sentence for a person, or empty.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow, reason: reason.into(), attrs: Vec::new() }
    }

    /// Denies the operation. `code` is a stable name in kebab case, `message` one sentence for a person.
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        let denial = Denial { code: code.into(), message: message.into(), hint: None, attrs: Vec::new() };
        Self { decision: Decision::Deny(denial), reason: String::new(), attrs: Vec::new() }
    }

    /// Sets what the person can do next. It has an effect only on a denial.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Decision::Deny(denial) = &mut self.decision {
            denial.hint = Some(hint.into());
        }
        self
    }

    /// Adds an attribute for the audit record.
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

/// Exports a type that implements [`Policy`](crate::policy::Policy) as the plugin of this crate. Use it once per crate, where the
/// type is in scope.
#[macro_export]
macro_rules! export_policy {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::validator::export_validator!($plugin);

        // Nothing is exported in a native build, but a type that does not implement the trait must be an error there, too.
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
