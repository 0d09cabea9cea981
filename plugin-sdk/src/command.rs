//! Plugins that add a subcommand to `bootc-image cmd`.

use crate::bindings::wrapper::exports::bootc_image::command::commands;
use crate::{Failure, panics};

pub use commands::Plan;

/// A plugin that turns the arguments of a subcommand into a [`Plan`]. Export it with
/// [`export_command!`](crate::export_command).
pub trait Command {
    /// Plans one invocation. `name` is the subcommand that the user typed, one of those that the manifest claims; `args` is
    /// what followed it, untouched. Called once in the life of an instance.
    ///
    /// # Errors
    /// [`Failure::Denied`] refuses the invocation. [`Failure::Failed`] says that it can't be planned; with
    /// [`Failure::usage`] because the arguments make no sense.
    fn plan(name: &str, args: &[String]) -> Result<Plan, Failure>;
}

impl Plan {
    /// Asks the host to run a subcommand of `podman image`. `argv` starts with the name of the subcommand.
    pub fn run(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), message: String::new(), attrs: Vec::new() }
    }

    /// Nothing is left to do.
    pub fn nothing() -> Self {
        Self::run([] as [String; 0])
    }

    /// Shows the user a line before anything runs.
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

/// Makes a type that implements [`Command`](crate::command::Command) the plugin of this crate. Once a crate, where the type is in scope.
#[macro_export]
macro_rules! export_command {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::wrapper::export_wrapper!($plugin);

        // Natively nothing is exported, but a type that doesn't fit should be an error there too.
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
