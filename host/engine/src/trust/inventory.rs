//! The installed plugins: finds them in their directories, reads their manifests and compares them with the grants. The
//! components themselves are not read here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_core::plugin::{PluginSetError, ProvidedCommand};
use bootc_image_manifest::Manifest;
use bootc_image_manifest::raw::format_names;
use bootc_image_model::plugin::PluginId;

use super::code::{self, Code, CodeFile};
use super::entries::{Entry, Kind, MANIFEST, Others, entries};
use super::environment::Environment;
use super::grants::{self, Found};
use super::status::{native_status, status, when_counts};
use super::way_out::{Problem, entry, without};
use crate::builtin::Builtin;
use crate::places::{Owner, Place, TrustedPath, read_text, trusted_entry, with_path};
use crate::sanitize::sanitize;

pub use super::entries::Ignored;
pub use super::status::Status;

/// All plugins, whether they can run or not.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Plugins with a valid manifest and an id that no other plugin has.
    pub plugins: BTreeMap<PluginId, Plugin>,
    /// Plugins without.
    pub broken: Vec<Broken>,
    /// Plugins that the configuration, or a link to `/dev/null`, masks.
    pub masked: Vec<Masked>,
    /// Directories that are not read as plugins.
    pub ignored: Vec<Ignored>,
    /// All grants that could be read.
    pub(crate) grants: Vec<Found>,
    /// Grants and directories that cannot be read. If there are any, operations are refused: a policy could be missing.
    pub problems: Vec<PluginSetError>,
}

/// A plugin that the configuration, or a link to `/dev/null`, masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The name of its directory.
    pub id: String,
    /// The location of its directory.
    pub place: Place,
    /// Its directory, or the name of a built-in plugin.
    pub directory: PathBuf,
    /// The link that masks it; none: the configuration does.
    pub by: Option<PathBuf>,
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
    /// The names of the formats in its manifest, as far as they can be read.
    pub(crate) formats: Vec<String>,
    /// The id in its manifest, if that is not the name of its directory.
    pub(super) belongs_to: Option<PluginId>,
}

impl Plugin {
    /// The subcommands that it provides.
    pub(crate) fn claims(&self) -> impl Iterator<Item = ProvidedCommand> {
        let id = &self.manifest.id;
        self.manifest.commands.iter().map(|command| ProvidedCommand {
            plugin: id.clone(),
            name: command.name.clone(),
            summary: command.summary.clone(),
            args: command.args.clone(),
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
        let problems =
            problems.into_iter().map(|Problem { what, fix }| PluginSetError::Approvals { what, fix });
        let problems = problems.collect();
        let mut inventory = Self { grants, problems, ..Self::default() };
        let mut places = Vec::new();
        for (place, directory) in &environment.places.plugins {
            match entries(&environment.places, *place, directory) {
                Ok(found) => {
                    tracing::debug!(directory = %directory.display(), plugins = found.len(), "reading plugins");
                    places.push((*place, found));
                }
                Err(error) => {
                    let what = with_path(directory, &error);
                    inventory.problems.push(PluginSetError::Approvals { what, fix: None });
                }
            }
        }
        let masks = Masks::of(environment, &places);
        for builtin in &environment.builtins {
            let read = embedded(builtin);
            let id =
                read.as_ref().map_or_else(|broken| broken.id.clone(), |found| found.manifest.id.to_string());
            match masks.of_plugin(&id, Place::BuiltIn, None) {
                Some(by) => inventory.mask(id, Place::BuiltIn, PathBuf::from(&*builtin.origin), by, None),
                None => inventory.add(read, None),
            }
        }
        // What a grant or the configuration names is never ignored.
        let judging = &environment.configuration.judging;
        let of_grants = of_plugins.iter().filter(|(_, grants)| grants.iter().any(|grant| !grant.built_in));
        let of_grants: Vec<PluginId> = of_grants.map(|(id, _)| id.clone()).collect();
        let expected: Vec<&PluginId> =
            of_grants.iter().chain(&judging.mandatory).chain(&judging.fail_open).collect();
        let mut others = Others::default();
        for (number, (place, found)) in places.iter().enumerate() {
            for Entry { name, path, kind } in found {
                let by = masks.of_plugin(name, *place, Some(number));
                match kind {
                    Kind::Mask => {}
                    Kind::Hidden => inventory.ignored.push(Ignored::hidden(path)),
                    Kind::Plugin | Kind::Empty if by.is_some() => {
                        let manifest = manifest_text(path, environment.places.owner(*place)).ok();
                        let manifest = manifest.map(|text| code::hex(text.as_bytes()));
                        inventory.mask(name.clone(), *place, path.named.clone(), by.flatten(), manifest);
                    }
                    Kind::Empty if expected.iter().all(|id| id.as_str() != name) => {
                        inventory.ignored.push(Ignored::empty(path));
                    }
                    Kind::Plugin | Kind::Empty | Kind::Misnamed => {
                        let misnamed = *kind == Kind::Misnamed;
                        match read(environment, *place, name, path, &of_plugins) {
                            Err(broken) if misnamed || broken.belongs_to.is_some() => {
                                others.push(*broken, path, misnamed);
                            }
                            read => inventory.add(read, Some(*place)),
                        }
                    }
                }
            }
        }
        others.settle(&mut inventory, &expected);
        inventory
    }

    fn mask(
        &mut self,
        id: String,
        place: Place,
        directory: PathBuf,
        by: Option<PathBuf>,
        manifest_sha256: Option<String>,
    ) {
        tracing::info!(plugin = id, directory = %directory.display(), "masked");
        self.masked.push(Masked { id, place, directory, by, manifest_sha256 });
    }

    /// Whether a plugin with this id is installed, usable or not.
    pub(crate) fn has(&self, id: &PluginId) -> bool {
        self.has_unmasked(id) || self.masked.iter().any(|masked| masked.id == id.as_str())
    }

    /// As [`Self::has`], but a masked plugin does not count.
    pub(super) fn has_unmasked(&self, id: &PluginId) -> bool {
        self.plugins.contains_key(id) || self.broken.iter().any(|broken| broken.id == id.as_str())
    }

    /// If two plugins have the same id, neither is used: a grant names only the id, so the choice would be ambiguous.
    pub(super) fn add(&mut self, read: Result<Plugin, Box<Broken>>, place: Option<Place>) {
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
                let status = match &plugin.standing {
                    Status::Enabled => "enabled",
                    Status::Disabled { reason, .. } => reason.as_str(),
                };
                tracing::info!(plugin = id, from = origin, status, "found a plugin");
                self.plugins.insert(plugin.manifest.id.clone(), plugin);
            }
            (None, Err(broken)) => self.broken.push(*broken),
            (Some(first), _) => {
                self.broken.retain(|broken| broken.id != id);
                self.broken.push(Broken {
                    formats: Vec::new(),
                    reason: format!("plugin id `{id}` is used by both {first} and {origin}"),
                    // The site's copy comes last: masking it brings back the one that was there before.
                    fix: place.and_then(|place| entry(&id, place)).map_or_else(
                        || "remove one of them".to_owned(),
                        |entry| format!("remove one of them, or mask the one in {origin} with {entry}"),
                    ),
                    origin,
                    id,
                    may_be_policy: true,
                    belongs_to: None,
                });
            }
        }
    }
}

/// What masks plugins.
struct Masks<'a> {
    configured: &'a [(PluginId, Place)],
    /// Names of links to `/dev/null`, each with the number of its place.
    links: Vec<(usize, &'a Entry)>,
}

impl<'a> Masks<'a> {
    fn of(environment: &'a Environment, places: &'a [(Place, Vec<Entry>)]) -> Self {
        let links = places.iter().enumerate().flat_map(|(number, (place, entries))| {
            // A link in a user's own directory masks nothing.
            let links = entries.iter().filter(|entry| entry.kind == Kind::Mask && *place != Place::User);
            links.map(move |entry| (number, entry))
        });
        Self { configured: &environment.configuration.masked, links: links.collect() }
    }

    /// Whether this plugin is masked, and by which link if the configuration does not mask it. A link masks the plugins of its name in
    /// the places before its own; `number` is that of the plugin's place, and none comes before all.
    fn of_plugin(&self, id: &str, place: Place, number: Option<usize>) -> Option<Option<PathBuf>> {
        if self.configured.iter().any(|(masked, at)| masked.as_str() == id && *at == place) {
            return Some(None);
        }
        let masks =
            |(of, entry): &&(usize, &Entry)| entry.name == id && number.is_none_or(|number| *of > number);
        self.links.iter().find(masks).map(|(_, entry)| Some(entry.path.named.clone()))
    }
}

fn embedded(builtin: &Builtin) -> Result<Plugin, Box<Broken>> {
    let Builtin { origin, manifest: text, artefact, component_sha256 } = builtin;
    let broken = |id: &str, reason: String| {
        Box::new(Broken {
            id: id.to_owned(),
            origin: origin.to_string(),
            reason,
            fix: "install bootc-image again".to_owned(),
            may_be_policy: Manifest::may_be_policy(text),
            formats: format_names(text),
            belongs_to: None,
        })
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
    read_text(&directory.join(MANIFEST).real, owner, bootc_image_manifest::LARGEST)
}

/// Reads the plugin in this directory, whose name must be its id.
pub(crate) fn read(
    environment: &Environment,
    place: Place,
    id: &str,
    directory: &TrustedPath,
    grants: &BTreeMap<PluginId, Vec<Found>>,
) -> Result<Plugin, Box<Broken>> {
    let owner = environment.places.owner(place);
    let origin = directory.named.display().to_string();
    let broken = |reason: String, fix: &str, may_be_policy| {
        Box::new(Broken {
            id: sanitize(id),
            origin: origin.clone(),
            reason,
            fix: fix.to_owned(),
            may_be_policy,
            formats: Vec::new(),
            belongs_to: None,
        })
    };
    let TrustedPath { named, .. } = directory.join(MANIFEST);
    let without = {
        let grants = PluginId::new(id).ok().and_then(|id| grants.get(&id)).map_or(&[][..], Vec::as_slice);
        without(&environment.configuration, grants, id, place)
    };
    let or_without = |fix: &str| {
        let otherwise = without.as_deref().unwrap_or("remove the plugin's directory");
        format!("{fix}; or, to continue without the plugin, {otherwise}")
    };
    let text = manifest_text(directory, owner).map_err(|error| {
        // What is wrong with a link is wrong with the directory, not with the manifest.
        let is_link = std::fs::symlink_metadata(&directory.real).is_ok_and(|found| found.is_symlink());
        let what = if is_link { &directory.named } else { &named };
        let fix = or_without("correct the directory or file that the message names");
        broken(with_path(what, &error), &fix, true)
    })?;
    let may_be_policy = Manifest::may_be_policy(&text);
    let wrong = |what: String| {
        // Which of the two must be newer is said there.
        let fix = if what.contains(": install a newer ") {
            format!("until then, {}", without.as_deref().unwrap_or("remove the plugin's directory"))
        } else {
            or_without("correct the manifest")
        };
        let formats = format_names(&text);
        Box::new(Broken { formats, ..*broken(format!("{}: {what}", named.display()), &fix, may_be_policy) })
    };
    let manifest = Manifest::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if manifest.id.as_str() != id {
        let within = directory.named.parent().unwrap_or(Path::new("/")).display();
        let fix = match (place, &without) {
            (Place::Image, Some(without)) => without.clone(),
            _ => format!("rename the directory to {}, or move it out of {within}", manifest.id),
        };
        let what = format!("`id`: the id is {}, but the directory is named {id}", manifest.id);
        return Err(Box::new(Broken { fix, belongs_to: Some(manifest.id), ..*wrong(what) }));
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
    use std::fs;

    use super::*;
    use crate::formats::{Formats as _, Wanted};
    use crate::places::Places;
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
        let [other, renamed] = set.look().broken.as_slice() else { panic!("{:?}", set.look()) };
        let within = scratch.path().join("plugins");
        assert!(
            renamed.reason.contains("`id`: the id is p, but the directory is named p-old"),
            "{renamed:?}"
        );
        assert_eq!(renamed.fix, format!("rename the directory to p, or move it out of {}", within.display()));
        assert_eq!(
            other.fix,
            "correct the manifest; or, to continue without the plugin, remove the plugin's directory"
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
