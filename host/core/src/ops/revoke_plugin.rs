//! Revoking a plugin's approval: removing its grant.

use std::path::PathBuf;

use bootc_image_model::plugin::PluginId;
use serde::Serialize;

use super::seen::PolicyInputParts;
use super::{Delegated, ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Revoke the approval of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id, as typed.
    pub plugin: String,
}

/// Removes a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevokePlugin {
    pub plugin: PluginId,
}

/// A grant was removed.
#[derive(Debug)]
pub struct Revoked {
    pub plugin: PluginId,
    /// The file of the grant.
    pub file: PathBuf,
}

impl Resolve for Request {
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

    /// Not judged by policies: a policy that fails could prevent its own repair.
    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        None
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn delegated(&self) -> Vec<Delegated> {
        vec![Delegated::Plugins]
    }

    fn only_removes(&self) -> bool {
        true
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let file = context.plugins.revoke(&self.plugin)?;
        Ok(Report::Revoked(Revoked { plugin: self.plugin, file }))
    }
}
