//! What plugins there are: found in their places, their manifests read, and compared with what was granted. Nothing of a
//! component is looked at here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_core::capability::Capability;
use bootc_image_core::plugin::{CommandClaim, PluginId, PluginSetError};
use bootc_image_grammar::weakened::is_off;

use crate::builtin::Builtin;
use crate::code::{self, Code};
use crate::grants::{self, Found};
use crate::manifest::Manifest;
use crate::places::{Located, Place, Places, read_text, trusted_directory, trusted_entry};
use crate::sanitize::sanitize;
use crate::set::Surroundings;

/// A manifest's name.
const MANIFEST: &str = "plugin.toml";

/// All plugins, usable or not.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Those whose manifests are good and whose ids are theirs alone.
    pub plugins: BTreeMap<PluginId, Plugin>,
    /// The others.
    pub broken: Vec<Broken>,
    /// Those that the configuration masks.
    pub masked: Vec<Masked>,
}

/// A plugin that the configuration masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// Its id, from its directory.
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its directory.
    pub directory: PathBuf,
}

/// A plugin whose manifest is good.
#[derive(Debug)]
pub struct Plugin {
    /// Where it was found; none: it is part of this executable.
    pub place: Option<Place>,
    /// Its directory, or what stands for it.
    pub origin: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Whether it may run.
    pub standing: Standing,
    /// Whether its manifest may say what it is asked about, if it is a policy.
    pub(crate) when_counts: bool,
    /// Digest of its manifest in lower-case hexadecimal.
    pub manifest_sha256: String,
    pub(crate) code: Code,
}

/// Whether a plugin may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was granted what it asks for.
    Enabled,
    /// It wasn't, or not all of it.
    Held {
        /// Why.
        reason: String,
        /// What to do next.
        fix: String,
    },
}

impl Standing {
    /// Whether it may run.
    pub fn is_enabled(&self) -> bool {
        *self == Self::Enabled
    }
}

/// A plugin that can't be used at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its id, from its directory.
    pub id: String,
    /// Its directory.
    pub origin: String,
    /// What is wrong.
    pub reason: String,
    /// What to do next.
    pub fix: String,
    /// Whether it could have been a policy: then nothing that it might have judged runs.
    pub may_be_policy: bool,
}

impl Plugin {
    /// What its manifest claims.
    pub(crate) fn claims(&self) -> impl Iterator<Item = CommandClaim> {
        let id = &self.manifest.id;
        self.manifest.commands.iter().map(|command| CommandClaim {
            plugin: id.clone(),
            name: command.name.clone(),
            summary: command.summary.clone(),
        })
    }
}

impl Inventory {
    pub(crate) fn take(surroundings: &Surroundings) -> Result<Self, PluginSetError> {
        let cannot = |what: &str, reason| PluginSetError::Manifest { plugin: what.to_owned(), reason };
        let mut grants: BTreeMap<PluginId, Vec<Found>> = BTreeMap::new();
        for grant in grants::read(&surroundings.places).map_err(|reason| cannot("grants", reason))? {
            grants.entry(grant.plugin.clone()).or_default().push(grant);
        }
        let mut inventory = Self::default();
        for builtin in &surroundings.builtins {
            inventory.add(embedded(builtin));
        }
        for (place, directory) in &surroundings.places.plugins {
            let found = directories(&surroundings.places, *place, directory)
                .map_err(|error| cannot(&directory.display().to_string(), error.to_string()))?;
            for located in found {
                let name = located.real.file_name().unwrap_or_default();
                let id = name.to_string_lossy().into_owned();
                let masks = &surroundings.configuration.masked;
                if masks.iter().any(|(masked, at)| masked.as_str() == id && at == place) {
                    let directory = located.named;
                    tracing::info!(plugin = id, directory = %directory.display(), "masked by the configuration");
                    inventory.masked.push(Masked { id, place: *place, directory });
                } else {
                    inventory.add(read(surroundings, *place, &id, &located, &grants));
                }
            }
        }
        Ok(inventory)
    }

    /// Two of one id are none: nobody could tell which one is meant.
    fn add(&mut self, read: Result<Plugin, Broken>) {
        let (id, origin) = match &read {
            Ok(plugin) => (plugin.manifest.id.to_string(), plugin.origin.clone()),
            Err(broken) => (broken.id.clone(), broken.origin.clone()),
        };
        if is_off("equal-ids") && PluginId::new(&id).is_ok_and(|id| self.plugins.contains_key(&id)) {
            return;
        }
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
                    reason: format!("plugin id `{id}` is claimed by both {first} and {origin}"),
                    fix: "remove one, or say which one doesn't count: [policy] masked in the configuration"
                        .to_owned(),
                    origin,
                    id,
                    may_be_policy: true,
                });
            }
        }
    }
}

/// The directories of the plugins in a place, sorted.
fn directories(places: &Places, place: Place, directory: &Path) -> io::Result<Vec<Located>> {
    let Some(real) = trusted_directory(directory, places.owner(place))? else { return Ok(Vec::new()) };
    let located = Located { named: directory.to_owned(), real };
    let mut found = Vec::new();
    for entry in fs::read_dir(&located.real)? {
        let entry = entry?;
        // A file is no plugin, and a hidden directory is one that is being installed. A link is looked at, and refused.
        let name = entry.file_name();
        // Nor is a directory such as a file system's own lost+found.
        let is_plugin = name.to_str().is_some_and(|name| PluginId::new(name).is_ok())
            || entry.path().join(MANIFEST).exists();
        if is_plugin && !entry.file_type()?.is_file() && !name.as_encoded_bytes().starts_with(b".") {
            found.push(located.join(name));
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
            let reason = format!("it names component {digest}, but there is {component_sha256}");
            Err(broken(manifest.id.as_str(), reason))
        }
        _ => Ok(Plugin {
            place: None,
            origin: origin.to_string(),
            manifest,
            standing: Standing::Enabled,
            when_counts: true,
            manifest_sha256: code::hex(text.as_bytes()),
            code: Code::Embedded(artefact.clone()),
        }),
    }
}

fn read(
    surroundings: &Surroundings,
    place: Place,
    id: &str,
    directory: &Located,
    grants: &BTreeMap<PluginId, Vec<Found>>,
) -> Result<Plugin, Broken> {
    let owner = surroundings.places.owner(place);
    let origin = directory.named.display().to_string();
    let broken = |reason: String, fix: &str, may_be_policy| Broken {
        id: sanitize(id),
        origin: origin.clone(),
        reason,
        fix: fix.to_owned(),
        may_be_policy,
    };
    let Located { named, real } = directory.join(MANIFEST);
    let text =
        trusted_entry(&directory.real, owner).and_then(|()| read_text(&real, owner)).map_err(|error| {
            broken(format!("{}: {error}", named.display()), "mend it, or remove its directory", true)
        })?;
    let may_be_policy = Manifest::may_be_policy(&text);
    let wrong = |what: String| {
        broken(format!("{}: {what}", named.display()), "mend the manifest, or mask the plugin", may_be_policy)
    };
    let manifest = Manifest::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if manifest.id.as_str() != id {
        return Err(wrong(format!("`id`: it is {}, and its directory is called {id}", manifest.id)));
    }
    let Some(sha256) = manifest.component.sha256.clone() else {
        return Err(wrong("`sha256`: missing: it says which component belongs to the manifest".to_owned()));
    };
    let manifest_sha256 = code::hex(text.as_bytes());
    let grants = grants.get(&manifest.id).map_or(&[][..], Vec::as_slice);
    let is_mandatory = surroundings.configuration.judging.mandatory.contains(&manifest.id);
    let standing = native_standing(surroundings, place, &manifest)
        .unwrap_or_else(|| standing(place, &manifest, &sha256, &manifest_sha256, grants));
    let when_counts =
        standing.is_enabled() || when_counts(place, &manifest, &manifest_sha256, grants, is_mandatory);
    let code = Code::File { file: directory.join(&manifest.component.file), sha256, owner };
    Ok(Plugin { place: Some(place), origin, manifest, standing, when_counts, manifest_sha256, code })
}

/// Why native code can't run whatever was granted to it, if it can't.
fn native_standing(surroundings: &Surroundings, place: Place, manifest: &Manifest) -> Option<Standing> {
    let held = |reason: &str, fix: &str| Standing::Held { reason: reason.to_owned(), fix: fix.to_owned() };
    if !manifest.component.native {
        None
    } else if place == Place::User {
        let fix = "have an administrator install it in /var/lib/bootc-image/plugins";
        Some(held("it is native code, and only root's runs", fix))
    } else if !surroundings.configuration.native && !is_off("native") {
        let fix =
            "if native code may run with full authority here: [native] enabled = true in the configuration";
        Some(held("native extensions are off on this host", fix))
    } else {
        None
    }
}

/// Whether a grant is about a plugin that is called so and is there.
fn is_about(grant: &Found, place: Place, manifest: &Manifest) -> bool {
    grant.plugin == manifest.id
        && match grant.place {
            Place::Image => place == Place::Image,
            Place::User => place == Place::User,
            Place::Installed | Place::Site => true,
        }
}

fn is_of_manifest(grant: &Found, manifest_sha256: &str) -> bool {
    grant.manifest.as_deref().is_none_or(|digest| digest == manifest_sha256)
}

/// Whether a manifest may say what its policy is asked about while that is held. Where the administrator knows the policy,
/// only one that was approved may: with a narrower `when` another would switch it off.
fn when_counts(
    place: Place,
    manifest: &Manifest,
    manifest_sha256: &str,
    grants: &[Found],
    is_mandatory: bool,
) -> bool {
    let approves = |grant: &Found| {
        is_about(grant, place, manifest)
            && grant.native == manifest.component.native
            && is_of_manifest(grant, manifest_sha256)
    };
    let is_known = is_mandatory || grants.iter().any(|grant| grant.plugin == manifest.id);
    !is_known || grants.iter().any(approves)
}

/// Compares what a plugin asks for with what was granted to it.
fn standing(
    place: Place,
    manifest: &Manifest,
    sha256: &str,
    manifest_sha256: &str,
    grants: &[Found],
) -> Standing {
    let id = &manifest.id;
    let about = |grant: &&Found| is_about(grant, place, manifest);
    let (of_plugin, of_another_kind): (Vec<&Found>, Vec<&Found>) =
        grants.iter().filter(about).partition(|grant| grant.native == manifest.component.native);
    let fix = format!("look at it with: bootc-image plugin show {id}; then: bootc-image plugin approve {id}");
    if is_off("grants") {
        return Standing::Enabled;
    }
    if let ([], [grant, ..]) = (of_plugin.as_slice(), of_another_kind.as_slice()) {
        let file = grant.file.display();
        let reason = if grant.native {
            format!("{file} is about native code, and it is a component")
        } else {
            format!("{file} doesn't say kind = \"native\", and it is native code")
        };
        return Standing::Held { reason, fix };
    }
    if of_plugin.is_empty() {
        return Standing::Held { reason: "nobody has approved it".to_owned(), fix };
    }
    let of_component: Vec<&Found> = of_plugin
        .into_iter()
        .filter(|grant| grant.sha256.as_deref().is_none_or(|digest| digest == sha256))
        .collect();
    if of_component.is_empty() {
        let reason = format!(
            "another {} of it was approved than {sha256}, which is there now",
            manifest.component.what()
        );
        return Standing::Held { reason, fix };
    }
    let (of_manifest, of_another): (Vec<&Found>, Vec<&Found>) =
        of_component.into_iter().partition(|grant| is_of_manifest(grant, manifest_sha256));
    // What was granted to another manifest counts for nothing; it tells what is new in this one.
    let is_approved = !of_manifest.is_empty();
    let compared = if is_approved { of_manifest } else { of_another };
    let granted: Vec<&Capability> = compared.iter().flat_map(|grant| &grant.capabilities).collect();
    let missing: Vec<String> = manifest
        .capabilities
        .iter()
        .filter(|wanted| !granted.contains(&&wanted.capability))
        .map(|wanted| format!("+ {} ({})", wanted.capability, wanted.reason))
        .collect();
    if missing.is_empty() && is_approved {
        Standing::Enabled
    } else if missing.is_empty() {
        let reason =
            "its manifest isn't the one that was approved: it may be asked less, or claim more".to_owned();
        Standing::Held { reason, fix }
    } else {
        Standing::Held {
            reason: format!("it asks for more than it was granted: {}", missing.join(", ")),
            fix,
        }
    }
}

#[cfg(test)]
mod tests {
    use bootc_image_core::plugin::Plugins as _;

    use super::*;
    use crate::PluginSet;
    use crate::configuration::Configuration;

    const COMPONENT: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

    fn manifest(id: &str, rest: &str) -> String {
        let world = if rest.contains("[[format]]") { "format/output" } else { "policy/validator" };
        format!(
            "schema = 1\nid = {id:?}\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[component]]\nfile = \"p.wasm\"\n\
             world = \"bootc-image:{world}\"\nsha256 = \"{COMPONENT}\"\n{rest}"
        )
    }

    fn grant(id: &str, manifest: &str, capabilities: &str) -> Found {
        let digest = code::hex(manifest.as_bytes());
        let text = format!(
            "[[grant]]\nplugin = {id:?}\nsha256 = \"{COMPONENT}\"\nmanifest = \"{digest}\"\n{capabilities}"
        );
        grants::parse(&text, Place::Site, Path::new("p.toml")).unwrap().remove(0)
    }

    /// How a policy of the site stands with these grants, and whether its `when` counts.
    fn stands(text: &str, grants: &[Found], is_mandatory: bool) -> (Standing, bool) {
        let (manifest, digest) = (Manifest::parse(text).unwrap(), code::hex(text.as_bytes()));
        let counts = when_counts(Place::Site, &manifest, &digest, grants, is_mandatory);
        (standing(Place::Site, &manifest, COMPONENT, &digest, grants), counts)
    }

    #[test]
    fn a_manifest_that_wasnt_approved_narrows_no_policy_that_the_administrator_knows() {
        let (wide, narrow) =
            (manifest("p", ""), manifest("p", "when = { operations = [\"set-unified\"] }\n"));
        let approved = [grant("p", &wide, "")];
        let of_another = [grant("q", &wide, "")];
        assert_eq!(stands(&wide, &approved, true), (Standing::Enabled, true));
        for (grants, is_mandatory, counts) in [
            (&approved[..], false, false),
            (&approved, true, false),
            (&[], true, false),
            (&[], false, true),
            (&of_another, false, true),
        ] {
            let (standing, counted) = stands(&narrow, grants, is_mandatory);
            assert!(!standing.is_enabled());
            assert_eq!(counted, counts, "{grants:?} {is_mandatory}");
        }
    }

    #[test]
    fn what_was_granted_to_another_manifest_isnt_granted() {
        let asks = |scope: &str| {
            format!("[[capability]]\nname = \"podman-reads\"\nscope = {scope:?}\nreason = \"x\"\n")
        };
        let granted =
            |scope: &str| format!("[[grant.capability]]\nname = \"podman-reads\"\nscope = {scope:?}\n");
        let (earlier, now) = (manifest("p", &asks("/a")), manifest("p", &asks("/b")));
        let earlier = grant("p", &earlier, &granted("/a"));
        let reason = |grants: &[Found]| match stands(&now, grants, false).0 {
            Standing::Held { reason, .. } => reason,
            Standing::Enabled => String::new(),
        };
        let more = "it asks for more than it was granted: + podman-reads /b (x)";
        assert_eq!(reason(std::slice::from_ref(&earlier)), more);
        assert_eq!(reason(&[grant("p", &now, &granted("/b"))]), "");
        // One grant names the manifest, and another the capability.
        let of_another_manifest = grant("p", "another", &granted("/b"));
        assert_eq!(reason(&[grant("p", &now, ""), of_another_manifest, earlier]), more);
    }

    /// A set of plugins in a directory of the user's who runs the test.
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
        (PluginSet::new(Surroundings { places, configuration, ..Surroundings::default() }), scratch)
    }

    #[test]
    fn a_format_that_is_held_takes_nothing_from_one_that_is_enabled() {
        let offers = "[[format]]\nname = \"bars\"\nsummary = \"x\"\ncolumns = [\"image\"]\n";
        let plugins = ["a", "b"].map(|id| (id, manifest(id, offers)));
        let granted = |id: &str| {
            let digest = code::hex(manifest(id, offers).as_bytes());
            format!("[[grant]]\nplugin = {id:?}\nsha256 = \"{COMPONENT}\"\nmanifest = \"{digest}\"\n")
        };
        let says = |grants: &str| {
            let (set, _scratch) = set(&plugins, grants);
            let wanted = bootc_image_core::plugin::Wanted {
                format: "bars",
                argument: None,
                terminal: false,
                color: false,
            };
            set.format(wanted, &std::sync::Arc::default(), &mut Vec::new()).unwrap_err().to_string()
        };
        // It has no component, which is looked for only once it is chosen.
        for enabled in ["a", "b"] {
            let said = says(&granted(enabled));
            assert!(said.contains(enabled) && said.contains("p.wasm"), "{said}");
        }
        assert!(says(&format!("{}{}", granted("a"), granted("b"))).contains("b offers the format bars, too"));
        assert!(says("").contains("nobody has approved it"));
    }
}
