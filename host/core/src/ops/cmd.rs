//! Running podman on bootc's storage, as a plugin planned it.

use bootc_image_grammar::{Command, Does};
use bootc_image_model::image::CommandImage;
use bootc_image_model::plugin::PluginId;
use serde::Serialize;

use super::seen::{PolicyInputParts, of_command, of_value};
use super::{Delegated, ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::commands::planned::{self, Planned};
use crate::commands::run;
use crate::context::Context;
use crate::error::Error;

/// Run a subcommand of `cmd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The subcommand.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Runs podman on bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cmd {
    /// The subcommand that the caller typed.
    pub invoked: String,
    /// The plugin that planned it.
    pub plugin: PluginId,
    /// podman's arguments are printed from this.
    pub command: Command,
    /// The images that its names resolved to.
    pub images: Vec<CommandImage>,
    /// Whether everything that it fetches is pinned by digest.
    pub pinned: bool,
}

impl Cmd {
    /// As it was planned, with no name resolved.
    pub(crate) fn unresolved(planned: &Planned<'_>) -> Self {
        let command = planned.command.clone();
        Self::of(planned, planned::Resolved { command, images: Vec::new(), pinned: false })
    }

    /// With resolved names.
    pub(crate) fn of(planned: &Planned<'_>, resolved: planned::Resolved) -> Self {
        let (invoked, plugin) = (planned.invoked.to_owned(), planned.plugin.clone());
        let planned::Resolved { command, images, pinned } = resolved;
        Self { invoked, plugin, command, images, pinned }
    }
}

/// The pipeline never calls these: a plugin must plan the command first. An empty result makes sure that nothing runs unplanned.
impl Resolve for Request {
    fn resolve(&self, _: &Context<'_>) -> Result<Resolved, Error> {
        Ok(Resolved::default())
    }

    fn assume(&self, _: &Assumed) -> Result<Vec<Operation>, Error> {
        Ok(Vec::new())
    }
}

impl Operate for Cmd {
    const KIND: &'static str = "cmd";

    fn policy_kind(&self) -> String {
        format!("cmd {}", self.command.subcommand())
    }

    fn seen(&self, resolved: bool) -> Option<PolicyInputParts> {
        let Self { command, images, pinned, .. } = self;
        let argv = command.argv().split_off(command.subcommand().split(' ').count());
        let mut found = images.iter();
        let mut seen = Vec::new();
        for value in command.values() {
            seen.extend(of_value(command, &value, &mut found, resolved));
        }
        // For an archive of one image podman gets only its id, so the names that were given are not among the values.
        seen.extend(found.filter(|_| resolved).flat_map(of_command));
        Some(PolicyInputParts { argv, images: seen, pinned: *pinned })
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::PlansIt
    }

    fn delegated(&self) -> Vec<Delegated> {
        let does = match self.command.does() {
            Does::Builds => Some(Delegated::Builds),
            Does::Loads => Some(Delegated::Loads),
            _ => None,
        };
        let insecure = (self.command.switch("tls-verify") == Some(false)).then_some(Delegated::Insecure);
        does.into_iter().chain(insecure).collect()
    }

    fn only_removes(&self) -> bool {
        self.command.does() == Does::TakesNames
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        let code = run::execute(context, &self.command, &self.images)?;
        Ok(Report::Exited { code })
    }
}
