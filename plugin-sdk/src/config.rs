//! The plugin's own settings, as raw JSON text: which parser reads it is the plugin's choice.

use crate::bindings::imports::bootc_image::host::config as host;

/// All settings as the text of one JSON object. Natively `{}`.
pub fn settings() -> String {
    if cfg!(target_arch = "wasm32") { host::settings() } else { "{}".to_owned() }
}

/// One setting of the outermost level as JSON text (a string keeps its quotes), if it is set. Natively none.
pub fn get(key: &str) -> Option<String> {
    if cfg!(target_arch = "wasm32") { host::get(key) } else { None }
}
