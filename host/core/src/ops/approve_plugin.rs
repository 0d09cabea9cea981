//! Approving a plugin: writing its grant.

use std::path::PathBuf;

use bootc_image_model::grant::{Grant, Role};
use serde::Serialize;

use super::seen::PolicyInputParts;
use super::{Delegated, ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Approve an installed plugin, with the capabilities that its manifest requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id, as typed.
    pub plugin: String,
    /// Whether every operation except `list` is denied without it. Only for a policy.
    pub mandatory: bool,
}

/// Writes a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovePlugin {
    #[serde(flatten)]
    pub grant: Grant,
}

/// A grant was written.
#[derive(Debug)]
pub struct Granted {
    pub grant: Grant,
    /// The file of the grant.
    pub file: PathBuf,
}

impl Resolve for Request {
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let grant = context.plugins.grant_for(&self.plugin)?;
        if self.mandatory && grant.role != Role::Policy {
            return Err(Error::NotAPolicy(grant.plugin));
        }
        if let Some(file) = context.plugins.approved_by_image(&grant.plugin) {
            return self.approved_by_image(context, &grant, &file.display().to_string());
        }
        let grant = Grant { mandatory: self.mandatory || grant.mandatory, ..grant };
        Ok(Operation::ApprovePlugin(ApprovePlugin { grant }).into())
    }

    fn assume(&self, _: &Assumed) -> Result<Vec<Operation>, Error> {
        Ok(Vec::new())
    }
}

impl Request {
    /// Writes nothing: a grant of the site would pin today's component, and so disable the one that the next OS image approves.
    fn approved_by_image(&self, context: &Context<'_>, grant: &Grant, file: &str) -> Result<Resolved, Error> {
        let plugin = &grant.plugin;
        let is_mandatory = grant.mandatory || context.host.settings.configuration.mandatory.contains(plugin);
        if self.mandatory && !is_mandatory {
            return Err(Error::Plugin {
                plugin: plugin.to_string(),
                reason: format!("the OS image approves this plugin in {file}, but not as mandatory"),
                fix: format!("make it mandatory in the configuration: [policy] mandatory = [\"{plugin}\"]"),
            });
        }
        context
            .host
            .reporter
            .note(&format!("nothing to do: plugin {plugin} is already approved by the OS image in {file}"));
        Ok(Resolved::default())
    }
}

impl Operate for ApprovePlugin {
    const KIND: &'static str = "approve-plugin";

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

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let file = context.plugins.approve(&self.grant)?;
        Ok(Report::Approved(Granted { grant: self.grant, file }))
    }
}
