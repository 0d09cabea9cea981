//! The set of all plugins: found, read, and compared with their grants.

mod approving;
pub mod doctor;
pub mod packaged;
mod policy;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bootc_image_core::error::Error;
use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{
    Host, MissingPolicy, Plan, PlanError, PluginSetError, Plugins, Policy, ProvidedCommand,
};
use bootc_image_manifest::strict::nearest;
use bootc_image_manifest::{Format, World};
use bootc_image_model::capability::Capability;
use bootc_image_model::grant::Grant;
use bootc_image_model::plugin::PluginId;

use crate::formats::{FormatClaim, FormatError, Formats, Wanted};
use crate::limits::Limits;
use crate::native::{self, Process};
use crate::places::{Place, Places};
use crate::run::caught::caught;
use crate::run::{Identity, Judge, List, Loaded, Reported, Unformatted};
use crate::sanitize::sanitize;
use crate::trust::code::Code;
use crate::trust::configuration::Configuration;
use crate::trust::environment::Environment;
use crate::trust::hidden::{self, Hidden};
use crate::trust::inventory::{Broken, Inventory, Plugin, Status};
use crate::trust::missed;
use crate::trust::status::approved_by_image;
use crate::trust::way_out;
use crate::unusable::Unusable;
use crate::wasm::{self, Compiler, Runtimes};
use policy::JudgingPlugin;

/// All plugins. Manifests are read on first use, and wasmtime starts when the first plugin runs, so that commands that need no
/// plugin do not pay for plugins.
pub struct PluginSet {
    environment: Environment,
    inventory: OnceLock<Inventory>,
    policies: OnceLock<Vec<JudgingPlugin>>,
    runtimes: Arc<Runtimes>,
}

impl PluginSet {
    /// Creates the set. Problems of a plugin are reported when the plugin is used.
    pub fn new(environment: Environment) -> Self {
        let compiler =
            Compiler { cache: environment.places.cache.clone(), programs: environment.programs.clone() };
        let runtimes = Arc::new(Runtimes::new(compiler));
        Self { environment, inventory: OnceLock::new(), policies: OnceLock::new(), runtimes }
    }

    /// All plugins that were found.
    ///
    /// # Errors
    /// [`PluginSetError`] if a grants file or a plugin directory cannot be read.
    pub fn inventory(&self) -> Result<&Inventory, PluginSetError> {
        let inventory = self.look();
        inventory.problems.first().map_or(Ok(inventory), |problem| Err(problem.clone()))
    }

    /// All plugins that could be found, for displaying them. What could not be read is in the inventory's `problems`.
    pub fn look(&self) -> &Inventory {
        self.inventory.get_or_init(|| Inventory::take(&self.environment))
    }

    /// The plugin's id, settings, limits and capabilities for a run.
    fn identity(&self, plugin: &Plugin) -> Identity {
        let configuration = &self.environment.configuration;
        let (limits, ceiling) = match plugin.manifest.component.world {
            World::CommandWrapper => (Limits::COMMAND, configuration.command_ceiling),
            World::FormatOutput => (Limits::FORMAT, configuration.format_ceiling),
            World::PolicyValidator => (Limits::POLICY, configuration.policy_ceiling),
        };
        let settings = configuration.settings_of(&plugin.manifest.id);
        let mut limits = limits.granted(plugin.manifest.limits, ceiling);
        // The administrator decides how long the settings are.
        limits.transfer = limits.transfer.saturating_add(settings.length());
        Identity {
            plugin: plugin.manifest.id.clone(),
            settings: settings.into(),
            limits,
            capabilities: plugin
                .manifest
                .capabilities
                .iter()
                .map(|wanted| wanted.capability.clone())
                .collect(),
        }
    }

    /// Loads a plugin's code for one call. `retry`: tries again to compile a component that could not be compiled before.
    fn load(&self, plugin: &Plugin, retry: bool) -> Result<Box<dyn Loaded + '_>, Unusable> {
        let (identity, component) = (self.identity(plugin), &plugin.manifest.component);
        if component.native {
            let programs = &self.environment.programs;
            Ok(Box::new(Process::start(&plugin.code, identity, component.world, programs)?))
        } else {
            Ok(Box::new(self.runtimes.load(&plugin.code, identity, component.world, retry)?))
        }
    }

    /// Creates an instance of a component within its limits, and calls none of its functions. Native code has no sandbox, so it is not
    /// loaded before somebody has approved it.
    fn instantiate(&self, plugin: &Plugin, retry: bool) -> Result<(), Unusable> {
        let component = &plugin.manifest.component;
        if component.native {
            return Ok(());
        }
        let instantiate =
            || self.runtimes.load(&plugin.code, self.identity(plugin), component.world, retry)?.instantiate();
        caught(instantiate).unwrap_or_else(|panic| Err(Unusable::Panicked(panic)))
    }

    /// A policy that can judge any number of operations.
    fn judge(&self, plugin: &Plugin, identity: Identity) -> Box<dyn Judge> {
        let code = plugin.code.clone();
        if plugin.manifest.component.native {
            Box::new(native::Judge::new(code, identity, self.environment.programs.clone()))
        } else {
            Box::new(wasm::Judge::new(code, identity, self.runtimes.clone()))
        }
    }

    /// The digest of a plugin's component as it is now, in lower-case hexadecimal; none for a built-in plugin.
    ///
    /// # Errors
    /// [`Error`] if the file cannot be read.
    pub fn component_digest(&self, plugin: &Plugin) -> Result<Option<String>, Error> {
        match &plugin.code {
            Code::Embedded(_) => Ok(None),
            Code::File(code) => code.sha256_now().map(Some).map_err(Error::io("read", &code.file.named)),
        }
    }

    /// How to continue without a plugin, as an imperative, if it is not built in and belongs to no user.
    fn without(&self, plugin: &Plugin) -> Option<String> {
        let grants = &self.look().grants;
        way_out::without(self.configuration(), grants, plugin.manifest.id.as_str(), plugin.place?)
    }

    /// Whether native extensions are enabled on this host.
    pub fn runs_native_code(&self) -> bool {
        self.environment.configuration.native
    }

    pub(crate) fn places(&self) -> &Places {
        &self.environment.places
    }

    fn configuration(&self) -> &Configuration {
        &self.environment.configuration
    }

    /// All configuration and grants files that are ignored because a later directory has a file of the same name.
    pub fn hidden(&self) -> Vec<Hidden> {
        // A plugin that is missing or cannot be read could be a policy.
        let may_be_policy = |id: &PluginId| {
            let found = self.look().plugins.get(id);
            found.is_none_or(|found| found.manifest.component.world == World::PolicyValidator)
        };
        hidden::all(self.places(), &may_be_policy)
    }

    /// In one sentence each, which settings of plugins come from more than one file.
    pub fn joined_settings(&self) -> Vec<String> {
        let settings = self.configuration().settings.iter();
        settings
            .flat_map(|(id, (_, origins))| origins.sentences(id.as_str()))
            .map(|said| sanitize(&said))
            .collect()
    }

    /// Mandatory policies that are not installed, and what makes them mandatory.
    pub fn missing(&self) -> Vec<(PluginId, String)> {
        missed::missing(self.look(), &self.configuration().judging.mandatory)
    }

    /// Finds a plugin with a valid manifest by its id.
    ///
    /// # Errors
    /// [`Error::Plugin`] if it is broken or masked, [`Error::NoSuchPlugin`], or the error of [`Self::inventory`].
    pub fn find(&self, name: &str) -> Result<&Plugin, Error> {
        self.inventory()?;
        self.look_for(name)
    }

    /// Like [`Self::find`], but ignores grants and directories that cannot be read.
    ///
    /// # Errors
    /// [`Error::Plugin`] if it is broken or masked, [`Error::NoSuchPlugin`].
    pub fn look_for(&self, name: &str) -> Result<&Plugin, Error> {
        let inventory = self.look();
        if let Some(broken) = inventory.broken.iter().find(|broken| broken.id == name) {
            return Err(problem(&broken.id, &*broken.reason, &*broken.fix));
        }
        let found = inventory.plugins.values().find(|plugin| plugin.manifest.id.as_str() == name);
        if let (None, Some(masked)) = (found, inventory.masked.iter().find(|masked| masked.id == name)) {
            let directory = masked.directory.display();
            return Err(match &masked.by {
                None => problem(
                    name,
                    format!("the configuration masks it in {directory}"),
                    "remove it from policy.masked in the configuration",
                ),
                Some(by) => {
                    let reason = format!("{} is a link to /dev/null and masks {directory}", by.display());
                    problem(name, reason, format!("remove {}", by.display()))
                }
            });
        }
        found.ok_or_else(|| {
            let known = inventory.plugins.keys().map(PluginId::as_str);
            let hint = nearest(name, known).map_or_else(
                || "list the plugins with: bootc-image plugin list".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            Error::NoSuchPlugin { name: name.to_owned(), hint }
        })
    }
}

impl PluginSet {
    /// The plugin that provides the format `name`. A disabled plugin does not conflict with an enabled one. If only disabled plugins
    /// provide the format, the error says why it is unavailable, and not that it is unknown.
    fn formatter(&self, name: &str) -> Result<(&Plugin, &Format), FormatError> {
        let unusable = |plugin: &PluginId, reason, hint: &str| {
            let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
            FormatError::Failed { plugin: plugin.clone(), reason, hint }
        };
        let inventory =
            self.inventory().map_err(|error| unusable(&PluginId::unknown(), error.to_string(), ""))?;
        let offers = |plugin| {
            let plugin: &Plugin = plugin;
            let format = plugin.manifest.formats.iter().find(|format| format.name == name)?;
            Some((plugin, format))
        };
        let offering = || inventory.plugins.values().filter_map(offers);
        let mut enabled = offering().filter(|(plugin, _)| plugin.standing.is_enabled());
        match (enabled.next(), enabled.next()) {
            (Some(one), None) => Ok(one),
            (Some((plugin, _)), Some((other, _))) => {
                let reason = format!("plugin {} also provides the format {name}", other.manifest.id);
                let fix = format!(
                    "mask one of the two in the configuration, for example with policy.masked = [{{ id = \"{}\", place = \"{}\" }}]",
                    other.manifest.id,
                    other.place.map_or("PLACE", Place::name)
                );
                Err(unusable(&plugin.manifest.id, reason, &fix))
            }
            (None, _) => match offering().next().map(|(plugin, _)| (&plugin.manifest.id, &plugin.standing)) {
                Some((id, Status::Disabled { reason, fix })) => Err(unusable(id, reason.clone(), fix)),
                _ => Err(no_formatter(name, &inventory.broken)),
            },
        }
    }
}

/// Why no plugin with a valid manifest provides the format `name`.
fn no_formatter(name: &str, broken: &[Broken]) -> FormatError {
    match broken.iter().find(|broken| broken.formats.iter().any(|format| format == name)) {
        Some(Broken { id, reason, fix, .. }) => FormatError::Failed {
            plugin: PluginId::new(id).unwrap_or_else(|_| PluginId::unknown()),
            reason: reason.clone(),
            hint: Some(fix.clone()),
        },
        None => FormatError::Unknown {
            name: name.to_owned(),
            broken: broken.iter().map(|broken| broken.id.clone()).collect(),
        },
    }
}

impl Formats for PluginSet {
    fn format_claims(&self) -> Result<Vec<FormatClaim>, PluginSetError> {
        let enabled = self.inventory()?.plugins.values().filter(|plugin| plugin.standing.is_enabled());
        let claims = enabled.flat_map(|plugin| {
            plugin.manifest.formats.iter().map(|format| FormatClaim {
                plugin: plugin.manifest.id.clone(),
                name: format.name.clone(),
                summary: format.summary.clone(),
                argument: format.argument.clone(),
                columns: format.columns.clone(),
                color: plugin.manifest.capabilities.iter().any(|wanted| wanted.capability.name == "color"),
            })
        });
        let mut claims: Vec<FormatClaim> = claims.collect();
        claims.sort_by(|a, b| (&a.name, &a.plugin).cmp(&(&b.name, &b.plugin)));
        Ok(claims)
    }

    fn format(
        &self,
        wanted: Wanted<'_>,
        rows: &Arc<Vec<ImageRow>>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError> {
        let (plugin, format) = self.formatter(wanted.format)?;
        if format.argument.is_none() && wanted.argument.is_some() {
            return Err(FormatError::no_argument(&format.name));
        }
        let list = List { format, rows, wanted };
        let id = &plugin.manifest.id;
        let work = || {
            let failed = |unusable: Unusable| {
                let hint = format!("to see what to fix, run: bootc-image plugin doctor {id}");
                Unformatted::Reported(Reported { message: unusable.to_string(), hint: Some(hint) })
            };
            self.load(plugin, false).map_err(failed)?.format(list, out)
        };
        formatted(id, work)
    }
}

impl Plugins for PluginSet {
    fn provided_commands(&self) -> Result<Vec<ProvidedCommand>, PluginSetError> {
        let mut claims: Vec<ProvidedCommand> = Vec::new();
        for plugin in self.inventory()?.plugins.values().filter(|plugin| plugin.standing.is_enabled()) {
            for claim in plugin.claims() {
                if let Some(other) = claims.iter().find(|other| other.name == claim.name) {
                    return Err(PluginSetError::ProvidedTwice {
                        what: format!("command `{}`", claim.name),
                        first: other.plugin.to_string(),
                        second: claim.plugin.to_string(),
                    });
                }
                claims.push(claim);
            }
        }
        claims.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(claims)
    }

    fn disabled_reason(&self, command: &str) -> Option<String> {
        let inventory = self.inventory().ok()?;
        let mut claiming = inventory
            .plugins
            .values()
            .filter(|plugin| plugin.manifest.commands.iter().any(|claimed| claimed.name == command));
        claiming.find_map(|plugin| match &plugin.standing {
            Status::Disabled { reason, fix } => {
                Some(format!("plugin {} provides it but is disabled: {reason}; {fix}", plugin.manifest.id))
            }
            Status::Enabled => None,
        })
    }

    fn granted(&self, plugin: &PluginId) -> Vec<Capability> {
        let found = self.inventory().ok().and_then(|inventory| inventory.plugins.get(plugin));
        let enabled = found.filter(|found| found.standing.is_enabled());
        let wanted = enabled.into_iter().flat_map(|found| &found.manifest.capabilities);
        let wanted = wanted.map(|wanted| wanted.capability.clone());
        let is_built_in = enabled.is_some_and(|found| found.place.is_none());
        let grants = self.look().grants.iter();
        let given = grants.filter(|grant| is_built_in && grant.built_in && grant.plugin == *plugin);
        wanted.chain(given.flat_map(|grant| grant.capabilities.iter().cloned())).collect()
    }

    fn broken(&self) -> Option<PluginSetError> {
        let broken = match self.inventory() {
            Ok(inventory) => inventory.broken.first()?,
            Err(error) => return Some(error),
        };
        Some(PluginSetError::Manifest { plugin: broken.id.clone(), reason: broken.reason.clone() })
    }

    fn plan(
        &self,
        plugin: &PluginId,
        name: &str,
        args: &[String],
        host: &dyn Host,
    ) -> Result<Plan, PlanError> {
        let unusable = |reason| PlanError::Unusable { plugin: plugin.clone(), reason };
        let inventory = self.inventory().map_err(|error| unusable(error.to_string()))?;
        let found = inventory.plugins.get(plugin).filter(|found| found.standing.is_enabled());
        let found = found.ok_or_else(|| unusable("it is not installed or not enabled".to_owned()))?;
        if found.claims().all(|claim| claim.name != name) {
            return Err(unusable(format!("its manifest does not provide `cmd {}`", sanitize(name))));
        }
        let plan =
            || self.load(found, false).map_err(|why| unusable(why.to_string()))?.plan(name, args, host);
        caught(plan).unwrap_or_else(|panic| Err(unusable(Unusable::Panicked(panic).to_string())))
    }

    fn policies(&self) -> Result<Vec<&dyn Policy>, PluginSetError> {
        let inventory = self.inventory()?;
        let policies = self.policies.get_or_init(|| {
            let judging = |plugin: &&Plugin| plugin.manifest.component.world == World::PolicyValidator;
            let plugins = inventory.plugins.values().filter(judging).map(|plugin| {
                let judge = |identity| self.judge(plugin, identity);
                JudgingPlugin::new(plugin, self.identity(plugin), self.without(plugin), judge)
            });
            let broken = inventory.broken.iter().filter_map(JudgingPlugin::broken);
            plugins.chain(broken).collect()
        });
        Ok(policies.iter().map(|policy| policy as &dyn Policy).collect())
    }

    fn rest(&self) {
        self.runtimes.stop_timer();
    }

    fn mandatory(&self) -> Vec<PluginId> {
        let mandatory = self.look().grants.iter().filter(|grant| grant.mandatory);
        mandatory.map(|grant| grant.plugin.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn how_to_stop_requiring(&self, policy: &PluginId) -> String {
        way_out::stop_requiring(self.configuration(), &self.look().grants, policy)
    }

    fn missed(&self) -> Vec<MissingPolicy> {
        missed::missed(self.look())
    }

    fn grant_for(&self, plugin: &str) -> Result<Grant, Error> {
        self.to_grant(plugin)
    }

    fn approved_by_image(&self, plugin: &PluginId) -> Option<PathBuf> {
        let inventory = self.look();
        let found = inventory.plugins.get(plugin)?;
        approved_by_image(found.place, &found.manifest, &found.manifest_sha256, &inventory.grants)
    }

    fn approve(&self, grant: &Grant) -> Result<PathBuf, Error> {
        self.write_grant(grant)
    }

    fn revoke(&self, plugin: &PluginId) -> Result<PathBuf, Error> {
        self.remove_grant(plugin)
    }
}

fn problem(plugin: &str, reason: impl Into<String>, fix: impl Into<String>) -> Error {
    Error::Plugin { plugin: plugin.to_owned(), reason: reason.into(), fix: fix.into() }
}

/// Has a list formatted.
fn formatted(plugin: &PluginId, work: impl FnOnce() -> Result<(), Unformatted>) -> Result<(), FormatError> {
    let (reason, hint) = match caught(work) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(Unformatted::Output(error))) => return Err(FormatError::Output(error)),
        Ok(Err(Unformatted::Usage(Reported { message: reason, hint }))) => {
            return Err(FormatError::Usage { reason, hint });
        }
        Ok(Err(Unformatted::Reported(reported))) => (reported.message, reported.hint),
        Ok(Err(Unformatted::Failed(reason))) => (reason, None),
        Err(panic) => (Unusable::Panicked(panic).to_string(), None),
    };
    Err(FormatError::Failed { plugin: plugin.clone(), reason, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_host_is_a_failure_of_the_format() {
        let id = PluginId::new("p").unwrap();
        let done = super::formatted(&id, || panic!("of the host"));
        assert!(
            matches!(&done, Err(FormatError::Failed { reason, .. }) if reason.contains("of the host")),
            "{done:?}"
        );
    }
}
