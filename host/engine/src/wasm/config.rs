//! `bootc-image:host/config`: a plugin's own settings from the configuration.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::bindings::imports::bootc_image::host::config::Host;
use super::guest::Guest;

impl Host for Guest {
    fn settings(&mut self) -> wasmtime::Result<String> {
        let settings = self.own_settings();
        self.budget().transfer([&*settings])?;
        Ok(settings.as_ref().to_owned())
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        let settings = self.own_settings();
        let all: BTreeMap<String, &RawValue> = serde_json::from_str(&settings)?;
        let value = all.get(key.as_str()).map(|value| value.get());
        self.budget().transfer([key.as_str(), value.unwrap_or_default()])?;
        Ok(value.map(str::to_owned))
    }
}
