//! `bootc-image:host/config`: a plugin's own settings. The host's configuration has no place for them yet, so every plugin
//! finds that it has none.

use super::bindings::bootc_image::host::config::Host;
use super::guest::Guest;

const NONE: &str = "{}";

impl Host for Guest {
    fn settings(&mut self) -> wasmtime::Result<String> {
        self.budget().transfer([NONE])?;
        Ok(NONE.to_owned())
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.budget().transfer([key.as_str()])?;
        Ok(None)
    }
}
