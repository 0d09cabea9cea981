//! What the tests of plugins share.

// Clippy's leave for tests covers only functions that are tests themselves.
#![allow(clippy::panic, clippy::unwrap_used)]

use bootc_image_core::error::Error;
use bootc_image_core::plugin::{Granted, Host, PlanError, Plugins, Wish};
use bootc_image_engine::{Builtin, PluginSet, Surroundings};
use bootc_image_model::plugin::PluginId;
use bootc_image_test_guests::guest;

pub(crate) fn id(text: &str) -> PluginId {
    PluginId::new(text).unwrap()
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// Nothing may be asked of it.
pub(crate) struct Nobody;

impl Host for Nobody {
    fn ask(&self, request: Wish) -> Result<Granted, Error> {
        panic!("asked for {request:?}");
    }
}

/// A set with these and nothing else.
pub(crate) fn with(builtins: Vec<Builtin>) -> PluginSet {
    PluginSet::new(Surroundings { builtins, ..Surroundings::default() })
}

/// A set with this guest and nothing else.
pub(crate) fn alone(name: &str) -> PluginSet {
    with(vec![guest(name).unwrap()])
}

/// Asks a guest for a plan of `list`, and gives the reason why it can't be used.
pub(crate) fn unusable(name: &str, args: &[&str]) -> String {
    match alone(name).plan(&id(name), "list", &words(args), &Nobody) {
        Err(PlanError::Unusable { plugin, reason }) if plugin == id(name) => reason,
        other => panic!("{other:?}"),
    }
}
