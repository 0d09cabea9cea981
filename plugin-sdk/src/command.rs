//! Plugins that add a subcommand to `bootc-image cmd`.

use crate::bindings::wrapper::exports::bootc_image::command::commands;
use crate::{Failure, panics};

pub use commands::Plan;

/// A plugin that turns the arguments of a subcommand into a [`Plan`]. Export it with
/// [`export_command!`](crate::export_command).
pub trait Command {
    /// Plans one invocation. `name` is the subcommand that the user typed, one of those listed in the manifest. `args` are the
    /// unchanged words that followed it. Called once per instance.
    ///
    /// # Errors
    /// [`Failure::Denied`] denies the invocation. [`Failure::Failed`] reports that it cannot be planned; use [`Failure::usage`] for
    /// usage errors.
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure>;
}

impl Plan {
    /// A plan that runs a subcommand of `podman image`. `argv` starts with the name of the subcommand.
    pub fn run(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), message: String::new(), attrs: Vec::new() }
    }

    /// A plan that runs nothing.
    pub fn nothing() -> Self {
        Self::run([] as [String; 0])
    }

    /// Sets a line that is shown to the user before anything runs.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}

impl<T: Command> commands::Guest for T {
    fn plan_run(name: String, args: Vec<String>) -> Result<Plan, Failure> {
        panics::forward();
        T::plan(&name, &args)
    }
}

/// Exports a type that implements [`Command`](crate::command::Command) as the plugin of this crate. Use it once per crate, where
/// the type is in scope.
#[macro_export]
macro_rules! export_command {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::wrapper::export_wrapper!($plugin);

        // Nothing is exported in a native build, but a type that does not implement the trait must be an error there, too.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str, &[String]) -> Result<$crate::command::Plan, $crate::Failure> =
            <$plugin as $crate::command::Command>::plan;
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, log};

    #[test]
    fn plans_are_put_together_in_one_go() {
        let plan = Plan::run(["list", "--all"]).with_message("listing");
        assert_eq!(
            (plan.argv, plan.message.as_str()),
            (vec!["list".to_owned(), "--all".to_owned()], "listing")
        );
        assert!(Plan::nothing().argv.is_empty());
    }

    #[test]
    fn natively_there_is_no_host_and_nothing_fails() {
        log::error("nobody hears this");
        assert!(!log::enabled(log::Level::Error));
        assert_eq!(config::settings(), "{}");
        assert_eq!(config::get("color"), None);
    }
}
