//! All plugins together: found, read, and compared with what was granted.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bootc_image_core::error::Error;
use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{
    CommandClaim, FormatClaim, FormatError, Host, Missed, Plan, PlanError, PluginSetError, Plugins, Policy,
    Wanted,
};
use bootc_image_model::capability::Capability;
use bootc_image_model::grant::Grant;
use bootc_image_model::plugin::PluginId;

use crate::approving;
use crate::builtin::Builtin;
use crate::code::{self, Code, Compiler};
use crate::configuration::Configuration;
use crate::inventory::{Inventory, Plugin, Standing};
use crate::limits::Limits;
use crate::manifest::{Format, World};
use crate::native::Process;
use crate::places::Places;
use crate::policy::{JudgingPlugin, Workshop};
use crate::sanitize::sanitize;
use crate::standing::approved_by_image;
use crate::strict::nearest;
use crate::wasm::{Identity, List, Runs};

/// Where a set finds what it needs.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The plugins that are part of this executable.
    pub builtins: Vec<Builtin>,
    /// Directories.
    pub places: Places,
    /// What the administrator says.
    pub configuration: Configuration,
    /// Directories in which programs of our own may be, in order.
    pub programs: Vec<PathBuf>,
}

/// A set in which no two plugins have an id or a command in common. Manifests are read when the first question is asked, and
/// wasmtime is started by the first plugin that runs: what needs no plugin pays for none.
pub struct PluginSet {
    surroundings: Surroundings,
    inventory: OnceLock<Inventory>,
    policies: OnceLock<Vec<JudgingPlugin>>,
    workshop: Arc<Workshop>,
}

impl PluginSet {
    /// A set of what is found there. What is wrong with a plugin is told when it is asked for.
    pub fn new(surroundings: Surroundings) -> Self {
        let compiler =
            Compiler { cache: surroundings.places.cache.clone(), programs: surroundings.programs.clone() };
        let workshop = Arc::new(Workshop::new(compiler));
        Self { surroundings, inventory: OnceLock::new(), policies: OnceLock::new(), workshop }
    }

    /// Everything that was found.
    ///
    /// # Errors
    /// [`PluginSetError`] if that can't be told.
    pub fn inventory(&self) -> Result<&Inventory, PluginSetError> {
        let inventory = self.look();
        inventory.problems.first().map_or(Ok(inventory), |problem| Err(problem.clone()))
    }

    /// What could be found, for whoever only wants to see it: what couldn't is among the inventory's problems.
    pub fn look(&self) -> &Inventory {
        self.inventory.get_or_init(|| Inventory::take(&self.surroundings))
    }

    /// For whom a plugin's component runs.
    pub(crate) fn identity(&self, plugin: &Plugin) -> Identity {
        let configuration = &self.surroundings.configuration;
        let (limits, ceiling) = match plugin.manifest.component.world {
            World::CommandWrapper => (Limits::COMMAND, configuration.command_ceiling),
            World::FormatOutput => (Limits::FORMAT, configuration.format_ceiling),
            World::PolicyValidator => (Limits::POLICY, configuration.policy_ceiling),
        };
        Identity {
            plugin: plugin.manifest.id.clone(),
            settings: configuration.settings_of(&plugin.manifest.id).into(),
            limits: limits.granted(plugin.manifest.limits, ceiling),
            capabilities: plugin
                .manifest
                .capabilities
                .iter()
                .map(|wanted| wanted.capability.clone())
                .collect(),
        }
    }

    /// Starts the process of native code.
    pub(crate) fn process(&self, plugin: &Plugin) -> Result<Process, String> {
        let programs = &self.workshop.compiler.programs;
        Process::start(&plugin.code, self.identity(plugin), plugin.manifest.component.world, programs)
    }

    /// The digest of a plugin's component as it is now, in lower-case hexadecimal; none of one that is built in.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    pub fn component_digest(&self, plugin: &Plugin) -> Result<Option<String>, Error> {
        match &plugin.code {
            Code::Embedded(_) => Ok(None),
            Code::File { file, owner, .. } => {
                code::sha256_of(&file.real, *owner).map(Some).map_err(Error::io("read", &file.named))
            }
        }
    }

    /// Whether native extensions may run here.
    pub fn runs_native_code(&self) -> bool {
        self.surroundings.configuration.native
    }

    pub(crate) fn places(&self) -> &Places {
        &self.surroundings.places
    }

    pub(crate) fn configuration(&self) -> &Configuration {
        &self.surroundings.configuration
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    /// A plugin whose manifest is good, by its id.
    ///
    /// # Errors
    /// [`Error`] that says what is wrong with it, or that there is none.
    pub fn find(&self, name: &str) -> Result<&Plugin, Error> {
        self.inventory()?;
        self.look_for(name)
    }

    /// As [`Self::find`], among what could be found.
    ///
    /// # Errors
    /// Likewise.
    pub fn look_for(&self, name: &str) -> Result<&Plugin, Error> {
        let inventory = self.look();
        if let Some(broken) = inventory.broken.iter().find(|broken| broken.id == name) {
            return Err(Error::Plugin {
                plugin: broken.id.clone(),
                reason: broken.reason.clone(),
                fix: broken.fix.clone(),
            });
        }
        let found = inventory.plugins.values().find(|plugin| plugin.manifest.id.as_str() == name);
        if let (None, Some(masked)) = (found, inventory.masked.iter().find(|masked| masked.id == name)) {
            return Err(Error::Plugin {
                plugin: name.to_owned(),
                reason: format!("the configuration masks it in {}", masked.directory.display()),
                fix: "take it out of [policy] masked".to_owned(),
            });
        }
        found.ok_or_else(|| {
            let known = inventory.plugins.keys().map(PluginId::as_str);
            let hint = nearest(name, known).map_or_else(
                || "see what there is with: bootc-image plugin list".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            Error::NoSuchPlugin { name: name.to_owned(), hint }
        })
    }
}

impl PluginSet {
    /// Who offers the format `name`: one that is held takes it from nobody. What can't be used is no typing error of the
    /// user's.
    fn formatter(&self, name: &str) -> Result<(&Plugin, &Format), FormatError> {
        let unusable = |plugin: &PluginId, reason| FormatError::NotBegun { plugin: plugin.clone(), reason };
        let inventory =
            self.inventory().map_err(|error| unusable(&PluginId::unknown(), error.to_string()))?;
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
                let reason = format!("{} offers the format {name}, too", other.manifest.id);
                Err(unusable(&plugin.manifest.id, reason))
            }
            (None, _) => match offering().next().map(|(plugin, _)| (&plugin.manifest.id, &plugin.standing)) {
                Some((id, Standing::Held { reason, fix })) => Err(unusable(id, format!("{reason}; {fix}"))),
                _ => Err(FormatError::Unknown { name: name.to_owned() }),
            },
        }
    }
}

impl Plugins for PluginSet {
    fn command_claims(&self) -> Result<Vec<CommandClaim>, PluginSetError> {
        let mut claims: Vec<CommandClaim> = Vec::new();
        for plugin in self.inventory()?.plugins.values().filter(|plugin| plugin.standing.is_enabled()) {
            for claim in plugin.claims() {
                if let Some(other) = claims.iter().find(|other| other.name == claim.name) {
                    return Err(PluginSetError::ClaimedTwice {
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

    fn held(&self, command: &str) -> Option<String> {
        let inventory = self.inventory().ok()?;
        let mut claiming = inventory
            .plugins
            .values()
            .filter(|plugin| plugin.manifest.commands.iter().any(|claimed| claimed.name == command));
        claiming.find_map(|plugin| match &plugin.standing {
            Standing::Held { reason, fix } => {
                Some(format!("plugin {} claims it, and is held: {reason}; {fix}", plugin.manifest.id))
            }
            Standing::Enabled => None,
        })
    }

    fn granted(&self, plugin: &PluginId) -> Vec<Capability> {
        let found = self.inventory().ok().and_then(|inventory| inventory.plugins.get(plugin));
        let enabled = found.filter(|found| found.standing.is_enabled());
        let wanted = enabled.into_iter().flat_map(|found| &found.manifest.capabilities);
        wanted.map(|wanted| wanted.capability.clone()).collect()
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
        let found = found.ok_or_else(|| unusable("there is no such plugin".to_owned()))?;
        if found.claims().all(|claim| claim.name != name) {
            return Err(unusable(format!("its manifest doesn't claim `{}`", sanitize(name))));
        }
        let plan = || {
            if found.manifest.component.native {
                return self.process(found).map_err(unusable)?.plan(name, args);
            }
            let runtime = self.workshop.runtime(Runs::of(World::CommandWrapper)).map_err(unusable)?;
            let component = code::load(runtime, &found.code, &self.workshop.compiler).map_err(unusable)?;
            runtime.plan(&self.identity(found), &component, name, args, host)
        };
        caught(plan).unwrap_or_else(|panic| Err(unusable(format!("the host failed in it: {panic}"))))
    }

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
            return Err(FormatError::Usage(format!("the format {} takes no argument", format.name)));
        }
        let work = |out: &mut dyn Write| {
            let unusable = |reason| FormatError::NotBegun { plugin: plugin.manifest.id.clone(), reason };
            if plugin.manifest.component.native {
                return self.process(plugin).map_err(unusable)?.format(format, rows, wanted, out);
            }
            let runtime = self.workshop.runtime(Runs::of(World::FormatOutput)).map_err(unusable)?;
            let component = code::load(runtime, &plugin.code, &self.workshop.compiler).map_err(unusable)?;
            runtime.format(&self.identity(plugin), component, List { format, rows, wanted }, out)
        };
        caught_printing(&plugin.manifest.id, out, work)
    }

    fn policies(&self) -> Result<Vec<&dyn Policy>, PluginSetError> {
        let inventory = self.inventory()?;
        let policies = self.policies.get_or_init(|| {
            let judging = |plugin: &&Plugin| plugin.manifest.component.world == World::PolicyValidator;
            let plugins = inventory
                .plugins
                .values()
                .filter(judging)
                .map(|plugin| JudgingPlugin::new(plugin, self.identity(plugin), self.workshop.clone()));
            let broken = inventory
                .broken
                .iter()
                .filter_map(|broken| JudgingPlugin::broken(broken, self.workshop.clone()));
            plugins.chain(broken).collect()
        });
        Ok(policies.iter().map(|policy| policy as &dyn Policy).collect())
    }

    fn rest(&self) {
        self.workshop.rest();
    }

    fn mandatory(&self) -> Vec<PluginId> {
        let mandatory = self.look().grants.iter().filter(|grant| grant.mandatory);
        mandatory.map(|grant| grant.plugin.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn missed(&self) -> Vec<Missed> {
        approving::missed(self.look())
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

/// Runs `work` and gives the words of its panic if there is one. What `work` leaves half-changed is never used again: the
/// store of a component goes with it, and the runtime is not changed by running one.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let words =
            panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        sanitize(words.unwrap_or("a panic without words"))
    })
}

/// Tells whether anything may have been printed.
struct Printing<'a> {
    out: &'a mut dyn Write,
    begun: bool,
}

impl Write for Printing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun = self.begun || !bytes.is_empty();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// As [`caught`], of what prints a list.
fn caught_printing(
    plugin: &PluginId,
    out: &mut dyn Write,
    work: impl FnOnce(&mut dyn Write) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut out = Printing { out, begun: false };
    let done = caught(|| work(&mut out));
    done.unwrap_or_else(|panic| {
        let (plugin, reason) = (plugin.clone(), format!("the host failed in it: {panic}"));
        Err(if out.begun {
            FormatError::Cut { plugin, reason }
        } else {
            FormatError::NotBegun { plugin, reason }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_by_a_panic_only_if_it_had_begun() {
        let id = PluginId::new("p").unwrap();
        let print = |work: fn(&mut dyn Write)| {
            let mut printed = Vec::new();
            let done = caught_printing(&id, &mut printed, |out| {
                work(out);
                panic!("of the host");
            });
            (done, printed)
        };
        let (done, printed) = print(|_| ());
        assert!(matches!(done, Err(FormatError::NotBegun { .. })) && printed.is_empty(), "{done:?}");
        let (done, printed) = print(|out| out.write_all(b"row").unwrap());
        assert!(matches!(done, Err(FormatError::Cut { .. })) && printed == b"row", "{done:?}");
    }

    #[test]
    fn a_panic_of_the_host_is_caught_with_its_words() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("literal")), Err::<(), _>("literal".to_owned()));
        assert_eq!(caught(|| panic!("{}\u{1b}", "formatted")), Err::<(), _>("formatted\u{fffd}".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(1)), Err::<(), _>("a panic without words".to_owned()));
    }
}
