//! `bootc-image:host/config` and `bootc-image:host/digest-lists`: a plugin's own settings from the configuration.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::bindings::imports::bootc_image::host::config::Host;
use super::bindings::imports::bootc_image::host::digest_lists::{self, DigestList, Shortened};
use super::guest::Guest;

impl Host for Guest {
    fn settings(&mut self) -> wasmtime::Result<String> {
        let settings = self.own_settings();
        self.budget().transfer([settings.full()])?;
        Ok(settings.full().to_owned())
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        let settings = self.own_settings();
        let all: BTreeMap<String, &RawValue> = serde_json::from_str(settings.full())?;
        let value = all.get(key.as_str()).map(|value| value.get());
        self.budget().transfer([key.as_str(), value.unwrap_or_default()])?;
        Ok(value.map(str::to_owned))
    }
}

impl digest_lists::Host for Guest {
    fn settings(&mut self) -> wasmtime::Result<Shortened> {
        let settings = self.own_settings();
        let places = settings.lists().iter().map(|(place, _)| place.as_str());
        self.budget().transfer(places.chain([settings.brief()]))?;
        let count =
            |list: &bootc_image_model::digest_list::DigestList| list.count().try_into().unwrap_or(u32::MAX);
        let lists = settings.lists().iter();
        let lists = lists.map(|(place, list)| DigestList { place: place.clone(), count: count(list) });
        Ok(Shortened { json: settings.brief().to_owned(), lists: lists.collect() })
    }

    fn contains(&mut self, list: u32, digest: String) -> wasmtime::Result<bool> {
        let settings = self.own_settings();
        self.budget().transfer([digest.as_str()])?;
        Ok(settings.lists().get(list as usize).is_some_and(|(_, list)| list.contains(&digest)))
    }
}
