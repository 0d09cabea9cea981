//! Removing what was written down of a plugin that may run.

use std::path::PathBuf;

use bootc_image_model::plugin::PluginId;
use serde::Serialize;

use super::seen::Seen;
use super::{Ask, Delegated, ForPlugins, Operate, Operation, Report, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Takes back that a plugin may run, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id, as typed.
    pub plugin: String,
}

/// Removes what was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevokePlugin {
    /// Of which plugin.
    pub plugin: PluginId,
}

/// A plugin may no longer run.
#[derive(Debug)]
pub struct Revoked {
    /// Which one.
    pub plugin: PluginId,
    /// Where it was written down.
    pub file: PathBuf,
}

impl Ask for Request {
    fn resolve(&self, _: &Context<'_>) -> Result<Resolved, Error> {
        let plugin = PluginId::new(&self.plugin).map_err(|error| {
            let (name, hint) = (self.plugin.clone(), error.to_string());
            Error::NoSuchPlugin { name, hint }
        })?;
        Ok(Operation::RevokePlugin(RevokePlugin { plugin }).into())
    }

    fn assume(&self, _: &Assumed) -> Result<Vec<Operation>, Error> {
        Ok(Vec::new())
    }
}

impl Operate for RevokePlugin {
    const KIND: &'static str = "revoke-plugin";

    /// A policy that fails must not keep its own repair from happening.
    fn seen(&self, _: bool) -> Option<Seen> {
        None
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn delegated(&self) -> Vec<Delegated> {
        vec![Delegated::Plugins]
    }

    fn only_takes_away(&self) -> bool {
        true
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let file = context.plugins.revoke(&self.plugin)?;
        Ok(Report::Revoked(Revoked { plugin: self.plugin, file }))
    }
}
