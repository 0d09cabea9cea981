//! The SDK for writing native extensions of bootc-image in Rust. In other languages, use `include/bootc_image_extension.h`.
//!
//! An extension is a library crate of type `cdylib` that implements one or more traits and exports them:
//!
//! ```
//! use bootc_image_extension::{Host, Operation, Policy, Problem, Verdict, export_extension};
//!
//! struct Pinned;
//!
//! impl Policy for Pinned {
//!     fn evaluate(&self, _: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem> {
//!         Ok(match operation.attr("pinned") {
//!             Some("false") => Verdict::deny("not-pinned", "images must be fetched by digest"),
//!             _ => Verdict::allow("everything is fetched by digest"),
//!         })
//!     }
//! }
//!
//! export_extension!(policy: Pinned);
//! # fn main() {}
//! ```
//!
//! An extension runs in a process of its own with full authority: no sandbox confines it. bootc-image may call it again in the same
//! process, and may kill the process at any time. A panic is caught and reported to bootc-image as a failure.
//! `docs/how-to/write-native-extension.md` describes how to ship an extension.

#![warn(missing_docs)]

// The export macro refers to this crate by its name, even if it expands inside it.
extern crate self as bootc_image_extension;

pub mod abi;
#[doc(hidden)]
pub mod edge;

#[doc(inline)]
pub use bootc_image_plugin_model::{
    Decision, Denial, Failure, Level, List, Plan, Problem, Reference, Verdict,
};
pub use edge::{Host, Out, Rows};

/// The operation that a policy judges.
pub type Operation = bootc_image_plugin_model::Operation;

/// An image that an operation uses.
pub type Image = bootc_image_plugin_model::Image;

/// Judges operations.
pub trait Policy: Sync {
    /// Judges one operation. The same operation and the same settings must give the same verdict.
    ///
    /// # Errors
    /// A [`Problem`] if the policy cannot decide. That denies the operation, unless the administrator listed the plugin under
    /// `fail-open` and the caller is not a delegated caller (one who became root through sudo, pkexec, doas or a setuid program).
    fn evaluate(&self, host: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem>;
}

/// Formats lists.
pub trait Formatter: Sync {
    /// Formats one list: takes its rows and writes the output.
    ///
    /// # Errors
    /// A [`Problem`]. bootc-image then prints nothing of the output: on a terminal it prints the list in its built-in table format. If
    /// the code is `usage`, it prints only the error.
    fn format(
        &self,
        host: &Host<'_>,
        list: &List,
        rows: &mut Rows<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), Problem>;
}

/// Plans subcommands of `bootc-image cmd`.
pub trait Command: Sync {
    /// Plans one invocation. `name` is the subcommand that the user typed, `args` are the unchanged words that followed it.
    ///
    /// # Errors
    /// A [`Failure`] that denies the invocation, or reports that it cannot be planned.
    fn plan(&self, host: &Host<'_>, name: &str, args: &[String]) -> Result<Plan, Failure>;
}

/// Exports an extension. Use it once per crate, with one or more of the three parts:
/// `export_extension!(policy: P, formatter: F, command: C)`. Each value must be an expression that is allowed in a `static`.
#[macro_export]
macro_rules! export_extension {
    ($($part:ident: $value:expr),+ $(,)?) => {
        /// Called by bootc-image.
        ///
        /// # Safety
        /// `host` must be null or a table as described in `bootc_image_extension.h`.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn bootc_image_extension_entry(
            host: *const $crate::abi::Host,
        ) -> *const $crate::abi::Extension {
            #[allow(clippy::needless_update)]
            static PARTS: $crate::edge::Parts =
                $crate::edge::Parts { $($part: Some(&$value),)+ ..$crate::edge::Parts::NONE };
            // SAFETY: the caller fulfils the requirements of `entry`.
            unsafe { $crate::edge::entry(host, &PARTS) }
        }
    };
}
