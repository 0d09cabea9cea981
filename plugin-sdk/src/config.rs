//! The plugin's own settings, as raw JSON text: which parser reads it is the plugin's choice.

use crate::bindings::configurable::exports::bootc_image::host::settings as exported;
use crate::bindings::imports::bootc_image::host::config as host;
use crate::{Attr, Problem, panics};

/// All settings as the text of one JSON object. Natively `{}`.
pub fn settings() -> String {
    if cfg!(target_arch = "wasm32") { host::settings() } else { "{}".to_owned() }
}

/// One setting of the outermost level as JSON text (a string keeps its quotes), if it is set. Natively none.
pub fn get(key: &str) -> Option<String> {
    if cfg!(target_arch = "wasm32") { host::get(key) } else { None }
}

/// A plugin that can tell what is wrong with settings before they are put to use. Export it with
/// [`export_settings!`](crate::export_settings) beside its own export.
pub trait Settings {
    /// Looks at settings: the text of a JSON object. The answer depends on `json` alone.
    ///
    /// # Errors
    /// Every problem that was found; make them with [`problem`].
    fn check(json: &str) -> Result<(), Vec<Problem>>;
}

/// What is wrong with the setting `key`, such as `rule[0].registry`.
pub fn problem(key: impl Into<String>, message: impl Into<String>) -> Problem {
    let attrs = vec![Attr { key: "key".to_owned(), value: key.into() }];
    Problem { code: "bad-setting".to_owned(), message: message.into(), hint: None, attrs }
}

impl<T: Settings> exported::Guest for T {
    fn check(json: String) -> Result<(), Vec<Problem>> {
        panics::forward();
        T::check(&json)
    }
}

/// Makes a type that implements [`Settings`](crate::config::Settings) the judge of this plugin's settings. Once a crate.
#[macro_export]
macro_rules! export_settings {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::configurable::export_configurable!($plugin);

        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> Result<(), Vec<$crate::Problem>> = <$plugin as $crate::config::Settings>::check;
    };
}
