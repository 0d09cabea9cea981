//! The installed plugins: finds them in their directories, reads their manifests and compares them with the grants. The
//! components themselves are not read here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_core::plugin::{PluginSetError, ProvidedCommand};
use bootc_image_model::plugin::PluginId;

use super::code::{self, Code, CodeFile};
use super::environment::Environment;
use super::grants::{self, Found};
use super::status::{native_status, status, when_counts};
use crate::builtin::Builtin;
use crate::manifest::Manifest;
use crate::places::{
    Owner, Place, Places, TrustedPath, read_text, trusted_directory, trusted_entry, with_path,
};
use crate::sanitize::sanitize;

pub use super::status::Status;

/// File name of a manifest.
const MANIFEST: &str = "plugin.toml";

/// All plugins, whether they can run or not.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Plugins with a valid manifest and an id that no other plugin has.
    pub plugins: BTreeMap<PluginId, Plugin>,
    /// Plugins without.
    pub broken: Vec<Broken>,
    /// Plugins that the configuration masks.
    pub masked: Vec<Masked>,
    /// All grants that could be read.
    pub(crate) grants: Vec<Found>,
    /// Grants and directories that cannot be read. If there are any, operations are refused: a policy could be missing.
    pub problems: Vec<PluginSetError>,
}

/// A plugin that the configuration masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The name of its directory.
    pub id: String,
    /// The location of its directory.
    pub place: Place,
    /// Its directory.
    pub directory: PathBuf,
    /// Digest of its manifest in lower-case hexadecimal, if the manifest can be read.
    pub(crate) manifest_sha256: Option<String>,
}

/// A plugin with a valid manifest.
#[derive(Debug)]
pub struct Plugin {
    /// The location of its directory; none: it is built into this executable.
    pub place: Option<Place>,
    /// Its directory, or the name of a built-in plugin.
    pub origin: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it is enabled, and if not, why.
    pub standing: Status,
    /// Whether the manifest's `when` is respected, if it is a policy.
    pub(crate) when_counts: bool,
    /// Digest of its manifest in lower-case hexadecimal.
    pub manifest_sha256: String,
    pub(crate) code: Code,
}

/// A plugin that cannot be used because its manifest is invalid or its id is not unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The name of its directory.
    pub id: String,
    /// Its directory.
    pub origin: String,
    /// What is wrong.
    pub reason: String,
    /// What to do next.
    pub fix: String,
    /// Whether it could be a policy. If so, every operation that it might judge is denied.
    pub may_be_policy: bool,
}

impl Plugin {
    /// The subcommands that it provides.
    pub(crate) fn claims(&self) -> impl Iterator<Item = ProvidedCommand> {
        let id = &self.manifest.id;
        self.manifest.commands.iter().map(|command| ProvidedCommand {
            plugin: id.clone(),
            name: command.name.clone(),
            summary: command.summary.clone(),
        })
    }
}

impl Inventory {
    pub(crate) fn take(environment: &Environment) -> Self {
        let (grants, problems) = grants::read(&environment.places);
        let mut of_plugins: BTreeMap<PluginId, Vec<Found>> = BTreeMap::new();
        for grant in &grants {
            of_plugins.entry(grant.plugin.clone()).or_default().push(grant.clone());
        }
        let problems = problems.into_iter().map(PluginSetError::Approvals).collect();
        let mut inventory = Self { grants, problems, ..Self::default() };
        for builtin in &environment.builtins {
            inventory.add(embedded(builtin));
        }
        for (place, directory) in &environment.places.plugins {
            let found = directories(&environment.places, *place, directory).unwrap_or_else(|error| {
                inventory.problems.push(PluginSetError::Approvals(with_path(directory, &error)));
                Vec::new()
            });
            for trusted in found {
                let name = trusted.real.file_name().unwrap_or_default();
                let id = name.to_string_lossy().into_owned();
                let masks = &environment.configuration.masked;
                if masks.iter().any(|(masked, at)| masked.as_str() == id && at == place) {
                    let manifest = manifest_text(&trusted, environment.places.owner(*place)).ok();
                    let manifest_sha256 = manifest.map(|text| code::hex(text.as_bytes()));
                    let directory = trusted.named;
                    tracing::info!(plugin = id, directory = %directory.display(), "masked by the configuration");
                    inventory.masked.push(Masked { id, place: *place, directory, manifest_sha256 });
                } else {
                    inventory.add(read(environment, *place, &id, &trusted, &of_plugins));
                }
            }
        }
        inventory
    }

    /// Whether a plugin with this id is installed, usable or not.
    pub(crate) fn has(&self, id: &PluginId) -> bool {
        self.plugins.contains_key(id)
            || self.broken.iter().any(|broken| broken.id == id.as_str())
            || self.masked.iter().any(|masked| masked.id == id.as_str())
    }

    /// If two plugins have the same id, neither is used: a grant names only the id, so the choice would be ambiguous.
    fn add(&mut self, read: Result<Plugin, Broken>) {
        let (id, origin) = match &read {
            Ok(plugin) => (plugin.manifest.id.to_string(), plugin.origin.clone()),
            Err(broken) => (broken.id.clone(), broken.origin.clone()),
        };
        let earlier =
            PluginId::new(&id).ok().and_then(|id| self.plugins.remove(&id)).map(|plugin| plugin.origin);
        let earlier = earlier.or_else(|| {
            self.broken.iter().find(|broken| broken.id == id).map(|broken| broken.origin.clone())
        });
        match (earlier, read) {
            (None, Ok(plugin)) => {
                self.plugins.insert(plugin.manifest.id.clone(), plugin);
            }
            (None, Err(broken)) => self.broken.push(broken),
            (Some(first), _) => {
                self.broken.retain(|broken| broken.id != id);
                self.broken.push(Broken {
                    reason: format!("plugin id `{id}` is used by both {first} and {origin}"),
                    fix: format!(
                        "remove one of them, or mask one in the configuration with \
                         policy.masked = [{{ id = \"{id}\", place = \"PLACE\" }}]; PLACE is image, installed, site or user"
                    ),
                    origin,
                    id,
                    may_be_policy: true,
                });
            }
        }
    }
}

/// The directories of the plugins in a place, sorted.
fn directories(places: &Places, place: Place, directory: &Path) -> io::Result<Vec<TrustedPath>> {
    let Some(real) = trusted_directory(directory, places.owner(place))? else { return Ok(Vec::new()) };
    let trusted = TrustedPath { named: directory.to_owned(), real };
    let mut found = Vec::new();
    for entry in fs::read_dir(&trusted.real)? {
        let entry = entry?;
        // Files are ignored, and so are hidden directories: they are being installed. Links are read, and then refused.
        let name = entry.file_name();
        // Directories such as a file system's lost+found are ignored too.
        let is_plugin = name.to_str().is_some_and(|name| PluginId::new(name).is_ok())
            || entry.path().join(MANIFEST).exists();
        if is_plugin && !entry.file_type()?.is_file() && !name.as_encoded_bytes().starts_with(b".") {
            found.push(trusted.join(name));
        }
    }
    found.sort_by(|a, b| a.real.cmp(&b.real));
    Ok(found)
}

fn embedded(builtin: &Builtin) -> Result<Plugin, Broken> {
    let Builtin { origin, manifest: text, artefact, component_sha256 } = builtin;
    let broken = |id: &str, reason: String| Broken {
        id: id.to_owned(),
        origin: origin.to_string(),
        reason,
        fix: "install bootc-image again".to_owned(),
        may_be_policy: Manifest::may_be_policy(text),
    };
    let manifest = Manifest::parse(text).map_err(|error| broken(origin, error.to_string()))?;
    match &manifest.component.sha256 {
        Some(digest) if digest != component_sha256 => {
            let reason = format!(
                "its manifest names component {digest}, but the built-in component is {component_sha256}"
            );
            Err(broken(manifest.id.as_str(), reason))
        }
        _ => Ok(Plugin {
            place: None,
            origin: origin.to_string(),
            manifest,
            standing: Status::Enabled,
            when_counts: true,
            manifest_sha256: code::hex(text.as_bytes()),
            code: Code::Embedded(artefact.clone()),
        }),
    }
}

/// Reads the manifest in a plugin's directory.
fn manifest_text(directory: &TrustedPath, owner: Owner) -> io::Result<String> {
    trusted_entry(&directory.real, owner)?;
    read_text(&directory.join(MANIFEST).real, owner)
}

fn read(
    environment: &Environment,
    place: Place,
    id: &str,
    directory: &TrustedPath,
    grants: &BTreeMap<PluginId, Vec<Found>>,
) -> Result<Plugin, Broken> {
    let owner = environment.places.owner(place);
    let origin = directory.named.display().to_string();
    let broken = |reason: String, fix: &str, may_be_policy| Broken {
        id: sanitize(id),
        origin: origin.clone(),
        reason,
        fix: fix.to_owned(),
        may_be_policy,
    };
    let TrustedPath { named, .. } = directory.join(MANIFEST);
    let text = manifest_text(directory, owner).map_err(|error| {
        broken(
            with_path(&named, &error),
            "correct the directory or file named there, or remove the plugin's directory",
            true,
        )
    })?;
    let may_be_policy = Manifest::may_be_policy(&text);
    let wrong = |what: String| {
        // Which of the two must be newer is said there.
        let before =
            if what.contains(": install a newer ") { "until then," } else { "correct the manifest, or" };
        let id = sanitize(id);
        let fix = format!(
            "{before} mask the plugin in the configuration with policy.masked = [{{ id = \"{id}\", place = \"{}\" }}]",
            place.name()
        );
        broken(format!("{}: {what}", named.display()), &fix, may_be_policy)
    };
    let manifest = Manifest::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if manifest.id.as_str() != id {
        let within = directory.named.parent().unwrap_or(Path::new("/")).display();
        let fix = format!("rename the directory to {}, or move it out of {within}", manifest.id);
        let what = format!("`id`: the id is {}, but the directory is named {id}", manifest.id);
        return Err(Broken { fix, ..wrong(what) });
    }
    let Some(sha256) = manifest.component.sha256.clone() else {
        return Err(wrong(
            "`sha256`: missing: the manifest must name the digest of its component".to_owned(),
        ));
    };
    let manifest_sha256 = code::hex(text.as_bytes());
    let grants = grants.get(&manifest.id).map_or(&[][..], Vec::as_slice);
    let is_mandatory = environment.configuration.judging.mandatory.contains(&manifest.id);
    let standing = native_status(environment, place, &manifest)
        .unwrap_or_else(|| status(place, &manifest, &sha256, &manifest_sha256, grants));
    let when_counts =
        standing.is_enabled() || when_counts(place, &manifest, &manifest_sha256, grants, is_mandatory);
    let code = Code::File(CodeFile { file: directory.join(&manifest.component.file), sha256, owner });
    Ok(Plugin { place: Some(place), origin, manifest, standing, when_counts, manifest_sha256, code })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::formats::{Formats as _, Wanted};
    use crate::set::PluginSet;
    use crate::trust::configuration::Configuration;

    pub(crate) const COMPONENT: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

    pub(crate) fn manifest(id: &str, rest: &str) -> String {
        let world = if rest.contains("[[format]]") { "format/output" } else { "policy/validator" };
        format!(
            "schema = 1\nid = {id:?}\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[component]]\nfile = \"p.wasm\"\n\
             world = \"bootc-image:{world}\"\nsha256 = \"{COMPONENT}\"\n{rest}"
        )
    }

    /// A set of plugins in a directory of the user who runs the test.
    fn set(plugins: &[(&str, String)], grants: &str) -> (PluginSet, tempfile::TempDir) {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for (id, manifest) in plugins {
            fs::create_dir_all(path("plugins").join(id)).unwrap();
            fs::write(path("plugins").join(id).join(MANIFEST), manifest).unwrap();
        }
        fs::create_dir(path("grants.d")).unwrap();
        fs::write(path("grants.d/a.toml"), grants).unwrap();
        let places = Places {
            plugins: vec![(Place::User, path("plugins"))],
            grants: vec![(Place::User, path("grants.d"))],
            user: Some(rustix::process::geteuid().as_raw()),
            ..Places::default()
        };
        let configuration = Configuration::default();
        (PluginSet::new(Environment { places, configuration, ..Environment::default() }), scratch)
    }

    #[test]
    fn a_renamed_directory_is_named_in_the_fix() {
        let (set, scratch) = set(&[("p-old", manifest("p", "")), ("q", "nonsense".to_owned())], "");
        let [renamed, other] = set.look().broken.as_slice() else { panic!("{:?}", set.look()) };
        let within = scratch.path().join("plugins");
        assert!(
            renamed.reason.contains("`id`: the id is p, but the directory is named p-old"),
            "{renamed:?}"
        );
        assert_eq!(renamed.fix, format!("rename the directory to p, or move it out of {}", within.display()));
        assert_eq!(
            other.fix,
            "correct the manifest, or mask the plugin in the configuration with \
             policy.masked = [{ id = \"q\", place = \"user\" }]"
        );
    }

    #[test]
    fn a_disabled_format_does_not_conflict_with_an_enabled_one() {
        let offers = "[[format]]\nname = \"bars\"\nsummary = \"x\"\ncolumns = [\"image\"]\n";
        let plugins = ["a", "b"].map(|id| (id, manifest(id, offers)));
        let granted = |id: &str| {
            let digest = code::hex(manifest(id, offers).as_bytes());
            format!("[[grant]]\nplugin = {id:?}\nsha256 = \"{COMPONENT}\"\nmanifest = \"{digest}\"\n")
        };
        let message = |grants: &str| {
            let (set, _scratch) = set(&plugins, grants);
            let wanted = Wanted { format: "bars", argument: None, terminal: false, color: false };
            set.format(wanted, &std::sync::Arc::default(), &mut Vec::new()).unwrap_err().to_string()
        };
        // The component is missing, which is noticed only when the plugin is used.
        for enabled in ["a", "b"] {
            let error = message(&granted(enabled));
            assert!(error.contains(enabled) && error.contains("p.wasm"), "{error}");
        }
        assert!(
            message(&format!("{}{}", granted("a"), granted("b"))).contains("b also provides the format bars")
        );
        assert!(message("").contains("it has not been approved"));
    }
}
