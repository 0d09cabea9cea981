//! All plugins together.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use bootc_image_core::plugin::{CommandClaim, Plan, PlanError, PluginId, PluginSetError, Plugins};

use crate::builtin::{Artefact, Builtin};
use crate::manifest::Manifest;
use crate::sanitize::sanitize;
use crate::wasm::Runtime;

/// A set in which no two plugins have an id or a command in common. Manifests are read when the first question is asked, and
/// wasmtime is started by the first plan: what needs no plugin pays for none.
pub struct PluginSet {
    builtins: Vec<Builtin>,
    plugins: OnceLock<Result<BTreeMap<PluginId, Plugin>, PluginSetError>>,
    runtime: OnceLock<Result<Runtime, String>>,
}

struct Plugin {
    origin: String,
    manifest: Manifest,
    artefact: Artefact,
}

impl PluginSet {
    /// A set of these plugins. What is wrong with a manifest is told by every question: a broken set must not keep
    /// operations from running that need no plugin, and must not run one that does.
    pub fn new(builtins: Vec<Builtin>) -> Self {
        Self { builtins, plugins: OnceLock::new(), runtime: OnceLock::new() }
    }

    fn plugins(&self) -> Result<&BTreeMap<PluginId, Plugin>, PluginSetError> {
        self.plugins.get_or_init(|| collect(&self.builtins)).as_ref().map_err(Clone::clone)
    }

    fn plugin(&self, id: &PluginId, command: &str) -> Result<&Plugin, String> {
        let plugins = self.plugins().map_err(|error| error.to_string())?;
        let plugin = plugins.get(id).ok_or("there is no such plugin")?;
        if plugin.manifest.commands.iter().any(|claimed| claimed.name == command) {
            Ok(plugin)
        } else {
            Err(format!("its manifest doesn't claim `{}`", sanitize(command)))
        }
    }

    fn runtime(&self) -> Result<&Runtime, String> {
        let start = || Runtime::new().map_err(|error| format!("wasmtime doesn't start: {error:#}"));
        self.runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

impl Plugins for PluginSet {
    fn command_claims(&self) -> Result<Vec<CommandClaim>, PluginSetError> {
        let mut claims: Vec<CommandClaim> = self.plugins()?.values().flat_map(claims).collect();
        claims.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(claims)
    }

    fn plan(&self, plugin: &PluginId, name: &str, args: &[String]) -> Result<Plan, PlanError> {
        let unusable = |reason| PlanError::Unusable { plugin: plugin.clone(), reason };
        let found = self.plugin(plugin, name).map_err(unusable)?;
        let plan = || {
            let runtime = self.runtime().map_err(unusable)?;
            runtime.plan(plugin, found.artefact.bytes(), name, args)
        };
        caught(plan).unwrap_or_else(|panic| Err(unusable(format!("the host failed in it: {panic}"))))
    }
}

fn claims(plugin: &Plugin) -> impl Iterator<Item = CommandClaim> {
    let id = &plugin.manifest.id;
    plugin.manifest.commands.iter().map(|command| CommandClaim {
        plugin: id.clone(),
        name: command.name.clone(),
        summary: command.summary.clone(),
    })
}

fn collect(builtins: &[Builtin]) -> Result<BTreeMap<PluginId, Plugin>, PluginSetError> {
    let mut plugins: BTreeMap<PluginId, Plugin> = BTreeMap::new();
    let mut owners: BTreeMap<String, PluginId> = BTreeMap::new();
    for builtin in builtins {
        let plugin = read(builtin)?;
        let id = plugin.manifest.id.clone();
        for command in &plugin.manifest.commands {
            if let Some(owner) = owners.insert(command.name.clone(), id.clone()).filter(|owner| *owner != id)
            {
                let what = format!("command `{}`", command.name);
                return Err(claimed_twice(what, owner.to_string(), id.to_string()));
            }
        }
        let origin = plugin.origin.clone();
        if let Some(earlier) = plugins.insert(id.clone(), plugin) {
            return Err(claimed_twice(format!("plugin id `{id}`"), earlier.origin, origin));
        }
    }
    Ok(plugins)
}

fn read(builtin: &Builtin) -> Result<Plugin, PluginSetError> {
    let Builtin { origin, manifest, artefact, component_sha256 } = builtin.clone();
    let origin = origin.into_owned();
    let broken = |reason| PluginSetError::Manifest { plugin: origin.clone(), reason };
    let manifest = Manifest::parse(&manifest).map_err(|error| broken(error.to_string()))?;
    match &manifest.component.sha256 {
        Some(digest) if *digest != component_sha256 => {
            Err(broken(format!("it names component {digest}, but there is {component_sha256}")))
        }
        _ => Ok(Plugin { origin, manifest, artefact }),
    }
}

fn claimed_twice(what: String, first: String, second: String) -> PluginSetError {
    PluginSetError::ClaimedTwice { what, first, second }
}

/// Runs `work` and gives the words of its panic if there is one. What `work` leaves half-changed is never used again: the
/// store of a component goes with it, and the runtime is not changed by running one.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let words =
            panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        sanitize(words.unwrap_or("a panic without words"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_host_is_caught_with_its_words() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("literal")), Err::<(), _>("literal".to_owned()));
        assert_eq!(caught(|| panic!("{}\u{1b}", "formatted")), Err::<(), _>("formatted\u{fffd}".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(1)), Err::<(), _>("a panic without words".to_owned()));
    }
}
