//! Helpers of these tests.

// Clippy's leave for tests covers only functions that are tests themselves.
#![allow(clippy::panic, clippy::unwrap_used)]

use bootc_image_core::error::Error;
use bootc_image_core::plugin::{Granted, Host, PlanError, PluginRequest, Plugins};
use bootc_image_engine::{Builtin, Environment, PluginSet};
use bootc_image_model::plugin::PluginId;
use bootc_image_test_guests::guest;

pub(crate) fn id(text: &str) -> PluginId {
    PluginId::new(text).unwrap()
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// A host that accepts no requests.
pub(crate) struct Nobody;

impl Host for Nobody {
    fn ask(&self, request: PluginRequest) -> Result<Granted, Error> {
        panic!("asked for {request:?}");
    }
}

/// A set with only these plugins.
pub(crate) fn with(builtins: Vec<Builtin>) -> PluginSet {
    PluginSet::new(Environment { builtins, ..Environment::default() })
}

/// A set with only this guest.
pub(crate) fn alone(name: &str) -> PluginSet {
    with(vec![guest(name).unwrap()])
}

/// Has a guest plan `list`, and returns the reason why it cannot be used.
pub(crate) fn unusable(name: &str, args: &[&str]) -> String {
    match alone(name).plan(&id(name), "list", &words(args), &Nobody) {
        Err(PlanError::Unusable { plugin, reason }) if plugin == id(name) => reason,
        other => panic!("{other:?}"),
    }
}
