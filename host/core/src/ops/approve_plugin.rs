//! Writing down that a plugin may run.

use std::path::PathBuf;

use bootc_image_model::grant::{Grant, Role};
use serde::Serialize;

use super::seen::Seen;
use super::{Ask, Delegated, ForPlugins, Operate, Operation, Report, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Lets a plugin run that was found, with what its manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id, as typed.
    pub plugin: String,
    /// Whether everything is denied where it isn't, of a policy.
    pub mandatory: bool,
}

/// Writes down that a plugin may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovePlugin {
    /// What exactly.
    #[serde(flatten)]
    pub grant: Grant,
}

/// A plugin may run now.
#[derive(Debug)]
pub struct Granted {
    /// What exactly.
    pub grant: Grant,
    /// Where that is written down.
    pub file: PathBuf,
}

impl Ask for Request {
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
    /// A grant of the site's would be of what is there now: with the next image it would hold what the image approves.
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
            .talk
            .note(&format!("nothing to do: plugin {plugin} is already approved by the OS image in {file}"));
        Ok(Resolved::default())
    }
}

impl Operate for ApprovePlugin {
    const KIND: &'static str = "approve-plugin";

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

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let file = context.plugins.approve(&self.grant)?;
        Ok(Report::Approved(Granted { grant: self.grant, file }))
    }
}
