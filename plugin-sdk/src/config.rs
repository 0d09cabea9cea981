//! The plugin's own settings as JSON text. The plugin chooses its JSON parser.

use crate::bindings::configurable::exports::bootc_image::host::settings as exported;
use crate::bindings::imports::bootc_image::host::config as host;
use crate::bindings::imports::bootc_image::host::digest_lists as lists;
use crate::{Attr, Problem, panics};

/// Returns all settings as the text of one JSON object. Returns `{}` in a native build.
pub fn settings() -> String {
    if cfg!(target_arch = "wasm32") { host::settings() } else { "{}".to_owned() }
}

/// Returns one top-level setting as JSON text (a string keeps its quotes), or none if it is not set. Returns none in a native
/// build.
pub fn get(key: &str) -> Option<String> {
    if cfg!(target_arch = "wasm32") { host::get(key) } else { None }
}

/// Settings without their long lists of digests, and the lists that were left out.
pub use lists::{DigestList, Shortened};

/// Returns all settings, with an empty list in place of each long list of digests. Only for policies. Returns `{}` in a native build.
pub fn shortened() -> Shortened {
    if cfg!(target_arch = "wasm32") {
        lists::settings()
    } else {
        Shortened { json: "{}".to_owned(), lists: Vec::new() }
    }
}

/// Whether the list with this index in [`Shortened::lists`] has this digest, such as `sha256:...`. Only for policies. Returns false in a
/// native build.
pub fn list_contains(list: u32, digest: &str) -> bool {
    cfg!(target_arch = "wasm32") && lists::contains(list, digest)
}

/// A plugin that checks settings before they are used. Export it with [`export_settings!`](crate::export_settings), in addition
/// to the plugin itself.
pub trait Settings {
    /// Checks settings. `json` is the text of a JSON object. The result must depend only on `json`.
    ///
    /// # Errors
    /// Every problem that was found. Create them with [`problem`].
    fn check(json: &str) -> Result<(), Vec<Problem>>;
}

/// Creates a problem with the setting `key`, such as `rule[0].registry`.
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

/// Exports a type that implements [`Settings`](crate::config::Settings) to check this plugin's settings. Use it once per crate.
#[macro_export]
macro_rules! export_settings {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::configurable::export_configurable!($plugin);

        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> Result<(), Vec<$crate::Problem>> = <$plugin as $crate::config::Settings>::check;
    };
}
