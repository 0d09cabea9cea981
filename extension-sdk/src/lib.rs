//! What a native extension of bootc-image is written with, in Rust. In other languages, use `include/bootc_image_extension.h`.
//!
//! An extension is a library crate of type `cdylib` that implements one trait or more and exports them:
//!
//! ```
//! use bootc_image_extension::{Host, Operation, Policy, Problem, Verdict, export_extension};
//!
//! struct Pinned;
//!
//! impl Policy for Pinned {
//!     fn evaluate(&self, _: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem> {
//!         Ok(match operation.attr("pinned") {
//!             Some("false") => Verdict::deny("not-pinned", "what is fetched must be named by its digest"),
//!             _ => Verdict::allow("everything is named by its digest"),
//!         })
//!     }
//! }
//!
//! export_extension!(policy: Pinned);
//! # fn main() {}
//! ```
//!
//! It runs in a process of its own with full authority: nothing confines what it does. The process may be asked again, and may be
//! killed at any time. A panic is caught and told to the host. `docs/native-extensions.md` says how to ship it.

// The export macro names this crate by its name, also when it expands inside it.
extern crate self as bootc_image_extension;

pub mod abi;
#[doc(hidden)]
pub mod edge;

#[doc(inline)]
pub use bootc_image_plugin_model::{
    Decision, Denial, Failure, Level, List, Plan, Problem, Reference, Verdict,
};
pub use edge::{Host, Out, Rows};

/// What is judged.
pub type Operation = bootc_image_plugin_model::Operation;

/// An image that an operation is about.
pub type Image = bootc_image_plugin_model::Image;

/// Judges operations.
pub trait Policy: Sync {
    /// Judges one. The same operation and the same settings must give the same verdict.
    ///
    /// # Errors
    /// A [`Problem`] if it can't decide. That denies, unless the administrator lets this policy fail.
    fn evaluate(&self, host: &Host<'_>, operation: &Operation) -> Result<Verdict, Problem>;
}

/// Formats lists.
pub trait Formatter: Sync {
    /// Formats one: takes the rows and writes what is printed.
    ///
    /// # Errors
    /// A [`Problem`]: if nothing was written, the host prints the list in a format of its own, unless its code is `usage`.
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
    /// Plans one: `name` is the subcommand, `args` what followed it.
    ///
    /// # Errors
    /// A [`Failure`] if it refuses, or can't.
    fn plan(&self, host: &Host<'_>, name: &str, args: &[String]) -> Result<Plan, Failure>;
}

/// Exports an extension, once a crate: `export_extension!(policy: P, formatter: F, command: C)`, any of the three. Each is an
/// expression that can stand in a `static`.
#[macro_export]
macro_rules! export_extension {
    ($($part:ident: $value:expr),+ $(,)?) => {
        /// Called by bootc-image.
        ///
        /// # Safety
        /// `host` is what `bootc_image_extension.h` says.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn bootc_image_extension_entry(
            host: *const $crate::abi::Host,
        ) -> *const $crate::abi::Extension {
            #[allow(clippy::needless_update)]
            static PARTS: $crate::edge::Parts =
                $crate::edge::Parts { $($part: Some(&$value),)+ ..$crate::edge::Parts::NONE };
            // SAFETY: it is passed on as it came.
            unsafe { $crate::edge::entry(host, &PARTS) }
        }
    };
}
