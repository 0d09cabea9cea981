//! `plugin doctor`: finds problems of plugins before an operation does. It reads, loads and links every plugin, and creates an instance
//! of every component, within the limits of a run; the only function of a plugin that it calls is the one that checks settings. For a
//! delegated caller it does so only with plugins that are enabled: somebody else decides which code runs as root.

use bootc_image_core::plugin::{MissingPolicy, Plugins as _};
use bootc_image_manifest::World;
use bootc_image_manifest::strict::nearest;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::subject::Subject;

use super::PluginSet;
use super::policy::continued;
use crate::places::ignored_files;
use crate::run::caught::caught;
use crate::sanitize::sanitize;
use crate::trust::code::digest_differs;
use crate::trust::configuration::directories;
use crate::trust::grants::{Found, revoke_if_not_needed};
use crate::trust::inventory::{Plugin, Status};
use crate::trust::way_out;
use crate::unusable::Unusable;

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The id of the plugin, `configuration` or `plugins`.
    pub about: String,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub fix: String,
}

impl PluginSet {
    /// Examines one plugin, or all plugins and the configuration, for this caller.
    pub fn examine(&self, only: Option<&str>, caller: &Subject) -> Vec<Finding> {
        let inventory = self.look();
        let first = "correct this first: operations that change anything are refused until then";
        let at_first = |fix: Option<&str>| {
            fix.map_or_else(|| first.to_owned(), |fix| sanitize(&format!("{first}; {fix}")))
        };
        let problems = self.configuration().problems.iter().zip(&self.configuration().fixes);
        let mut findings: Vec<Finding> = problems
            .map(|(problem, fix)| finding("configuration", sanitize(problem), &at_first(fix.as_deref())))
            .collect();
        findings.extend(
            inventory.problems.iter().map(|problem| {
                finding("plugins", sanitize(&problem.to_string()), &at_first(problem.own_fix()))
            }),
        );
        findings.extend(
            inventory.broken.iter().map(|broken| finding(&broken.id, broken.reason.clone(), &broken.fix)),
        );
        for plugin in inventory.plugins.values() {
            if only.is_none_or(|only| plugin.manifest.id.as_str() == only) {
                self.examine_one(plugin, caller, &mut findings);
            }
        }
        if let (Err(error), []) = (self.provided_commands(), inventory.problems.as_slice()) {
            findings.push(finding(
                "plugins",
                error.to_string(),
                "mask one of them in the configuration with policy.masked = [{ id = \"ID\", place = \"PLACE\" }]; `plugin show` prints its place",
            ));
        }
        self.examine_configuration(&mut findings);
        self.examine_hidden(only, &mut findings);
        findings.retain(|finding| only.is_none_or(|only| finding.about == only));
        findings
    }

    /// Why a plugin's component or library is not the one that its manifest names, if it differs.
    pub fn mismatch(&self, plugin: &Plugin) -> Option<String> {
        let named = plugin.manifest.component.sha256.as_deref()?;
        let file = &plugin.manifest.component.file;
        match self.component_digest(plugin) {
            Ok(None) => None,
            Ok(Some(found)) if found == named => None,
            Ok(Some(found)) => Some(digest_differs(file, &found, named)),
            Err(error) => Some(error.with_causes()),
        }
    }

    fn examine_one(&self, plugin: &Plugin, caller: &Subject, findings: &mut Vec<Finding>) {
        let id = plugin.manifest.id.as_str();
        if let Status::Disabled { reason, fix } = &plugin.standing {
            findings.push(finding(id, reason.clone(), fix));
        }
        // Also for disabled plugins: otherwise only `plugin approve` would report it.
        if let Some(what) = self.mismatch(plugin) {
            let is_policy = plugin.manifest.component.world == World::PolicyValidator;
            let without = self.without(plugin).filter(|_| is_policy);
            let fix = continued("install it again, or fix its manifest", without.as_deref());
            findings.push(finding(id, what, &fix));
            return;
        }
        if !plugin.standing.is_enabled() {
            // `plugin approve` would refuse it for the same reason.
            if caller.delegation.is_none()
                && let Err(why) = self.instantiate(plugin, true)
            {
                findings.push(finding(id, why.to_string(), fix_of(&why, plugin)));
            }
            return;
        }
        let look = || self.load(plugin, true)?.check();
        match caught(look).unwrap_or_else(|panic| Err(Unusable::Panicked(panic))) {
            Err(why) => {
                let is_policy = plugin.manifest.component.world == World::PolicyValidator;
                let without = self.without(plugin).filter(|_| is_policy);
                findings.push(finding(id, why.to_string(), &continued(fix_of(&why, plugin), without.as_deref())));
            }
            Ok(bad) => findings.extend(bad.into_iter().map(|bad| {
                let what = if bad.key.is_empty() || bad.message.contains(&bad.key) {
                    bad.message
                } else {
                    format!("setting {}: {}", bad.key, bad.message)
                };
                let fix = format!(
                    "correct [settings.{id}] in the configuration: a file in /etc/bootc-image/config.d whose name comes \
                     last overrides single keys"
                );
                finding(id, what, &fix)
            })),
        }
    }

    /// What is missing because a file hides another one; if one plugin is examined, only what concerns it.
    fn examine_hidden(&self, only: Option<&str>, findings: &mut Vec<Finding>) {
        for hidden in self.hidden().iter().filter(|hidden| hidden.is_missed() && !hidden.masked) {
            let about = only.filter(|only| hidden.concerns(only)).unwrap_or("configuration");
            findings.push(finding(about, hidden.what(), hidden.fix()));
        }
    }

    /// Policies that were approved and are missing, in the words in which operations report them.
    pub fn examine_missed(&self) -> Vec<Finding> {
        let (inventory, mandatory) = (self.look(), self.mandatory());
        let configured = &self.configuration().judging.mandatory;
        let examine = |missed: &MissingPolicy| {
            let id = &missed.plugin;
            let what = if mandatory.contains(id) || configured.contains(id) {
                format!(
                    "policy {id} is mandatory but {}, so every operation except `list` is denied",
                    missed.why
                )
            } else {
                missed.to_string()
            };
            let is_mandatory = mandatory.contains(id) || configured.contains(id);
            let is_meant = |grant: &&Found| grant.plugin == *id && grant.file == missed.file;
            let fix = match inventory.grants.iter().find(is_meant) {
                Some(grant) if inventory.plugins.contains_key(id) => revoke_if_not_needed(grant),
                _ if mandatory.contains(id) => {
                    format!("{}, or {}", missed.what_to_install(), self.how_to_stop_requiring(id))
                }
                _ if is_mandatory => {
                    let stop = self.how_to_stop_requiring(id);
                    format!("{}, or {stop} and {}", missed.what_to_install(), missed.revoke)
                }
                _ => missed.fix(),
            };
            finding(id.as_str(), sanitize(&what), &sanitize(&fix))
        };
        self.missed().iter().map(examine).collect()
    }

    /// Entries of the configuration and grants for plugins that are not installed, and files that are ignored.
    fn examine_configuration(&self, findings: &mut Vec<Finding>) {
        let inventory = self.look();
        let configuration = self.configuration();
        let places = self.places();
        let directories = directories(places);
        for path in [ignored_files(&directories), ignored_files(&places.grants)].concat() {
            let what = format!("{} is not read because its name does not end in .toml", path.display());
            findings.push(finding("configuration", sanitize(&what), "rename it, or remove it"));
        }
        let is_policy = |id| {
            inventory
                .plugins
                .get(id)
                .is_some_and(|plugin| plugin.manifest.component.world == World::PolicyValidator)
        };
        for (key, ids) in
            [("mandatory", &configuration.judging.mandatory), ("fail-open", &configuration.judging.fail_open)]
        {
            let unlist = |id: &PluginId| {
                let stop = way_out::unlist(configuration, id);
                Some(stop.join(" and ")).filter(|stop| key == "mandatory" && !stop.is_empty())
            };
            // A plugin that is installed and broken has been reported already.
            let broken = |id: &PluginId| inventory.broken.iter().any(|broken| broken.id == id.as_str());
            for id in ids.iter().filter(|id| !is_policy(id) && !broken(id)) {
                let is_masked = inventory.masked.iter().any(|masked| masked.id == id.as_str());
                let (why, fix) = if is_masked {
                    let unlist = unlist(id).unwrap_or_else(|| "remove it from this list".to_owned());
                    ("it is masked", format!("remove its mask, or {unlist}"))
                } else {
                    let others = inventory.plugins.keys().filter(|other| is_policy(other) && *other != id);
                    let meant = nearest(id.as_str(), others.map(PluginId::as_str));
                    let meant =
                        meant.map(|near| format!("did you mean {near}? Otherwise: ")).unwrap_or_default();
                    let unlist = unlist(id).unwrap_or_else(|| "remove it from the configuration".to_owned());
                    let fix = format!("{meant}install it, or {unlist}");
                    ("no such policy is installed", fix)
                };
                findings.push(finding(id.as_str(), format!("[policy] {key} lists it, but {why}"), &fix));
            }
        }
        findings.extend(self.examine_missed());
        for grant in inventory.grants.iter().filter(|grant| grant.built_in) {
            if inventory.plugins.get(&grant.plugin).is_none_or(|plugin| plugin.place.is_some()) {
                let file = grant.file.display();
                let what = format!(
                    "{file} grants it capabilities as a built-in plugin, but no such plugin is built in and enabled"
                );
                findings.push(finding(
                    grant.plugin.as_str(),
                    sanitize(&what),
                    &sanitize(&grant.how_to_revoke()),
                ));
            }
        }
        let grants = inventory.grants.iter().filter(|grant| !grant.is_of_policy() && !grant.built_in);
        for grant in grants.filter(|grant| !inventory.has(&grant.plugin)) {
            let what =
                format!("{} contains a grant of it, but no such plugin is installed", grant.file.display());
            let fix = format!("install it, or {}", grant.how_to_revoke());
            findings.push(finding(grant.plugin.as_str(), sanitize(&what), &sanitize(&fix)));
        }
        for id in configuration.settings.keys().filter(|id| !inventory.has(id)) {
            let what = "the configuration has settings for it, but no such plugin is installed".to_owned();
            findings.push(finding(
                id.as_str(),
                what,
                "install it, or remove the settings from the configuration",
            ));
        }
        for (id, place) in &configuration.masked {
            if inventory.masked.iter().all(|masked| masked.id != id.as_str() || masked.place != *place) {
                let what =
                    format!("policy.masked lists it in {:?}, but it is not installed there", place.name());
                findings.push(finding(id.as_str(), what, "remove it from the configuration"));
            }
        }
    }
}

/// What to do about a plugin that cannot be used.
pub(super) fn fix_of(why: &Unusable, plugin: &Plugin) -> &'static str {
    match why {
        Unusable::NotAskedFor(_) => {
            "install a version whose manifest requests it; the vendor can request it with [[capability]] in plugin.toml"
        }
        Unusable::NoProcess(_) => "install bootc-image again",
        Unusable::Panicked(_) | Unusable::Other(_) if plugin.manifest.component.native => {
            "report this to the plugin's vendor, or install a version that works on this host"
        }
        Unusable::Panicked(_) | Unusable::Other(_) => "install a version of it that works on this host",
    }
}

pub(super) fn finding(about: &str, what: String, fix: &str) -> Finding {
    Finding { about: about.to_owned(), what, fix: fix.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use bootc_image_model::subject::Delegation;

    use super::*;
    use crate::places::{Place, Places};
    use crate::trust::code;
    use crate::trust::configuration::Configuration;
    use crate::trust::environment::Environment;
    use crate::trust::inventory::tests::{COMPONENT, manifest};

    /// Root, who acts for themselves or for somebody else.
    pub(in crate::set) fn caller(delegation: Option<Delegation>) -> Subject {
        Subject { uid: Some(0), delegation, plugin: None, claims: Vec::new() }
    }

    #[test]
    fn no_component_that_nobody_has_approved_runs_for_a_delegated_caller() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("p");
        fs::create_dir(&directory).unwrap();
        let component = b"no component";
        let manifest = manifest("p", "").replace(COMPONENT, &code::hex(component));
        fs::write(directory.join("plugin.toml"), manifest).unwrap();
        fs::write(directory.join("p.wasm"), component).unwrap();
        let places = Places { plugins: vec![(Place::Site, scratch.path().to_owned())], ..Places::default() };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        let count = |delegation| set.examine(None, &caller(delegation)).len();
        // It is not approved, and it cannot be compiled.
        assert_eq!(count(None), 2);
        assert_eq!(count(Some(Delegation::Sudo)), 1);
    }

    #[test]
    fn a_grant_of_a_missing_plugin_is_reported() {
        let scratch = tempfile::tempdir().unwrap();
        let digest = "0".repeat(64);
        let grant = format!("[[grant]]\nplugin = \"gone\"\nsha256 = \"{digest}\"\nmanifest = \"{digest}\"\n");
        fs::write(scratch.path().join("gone.toml"), grant).unwrap();
        let places = Places {
            grants: vec![(Place::User, scratch.path().to_owned())],
            user: Some(rustix::process::geteuid().as_raw()),
            ..Places::default()
        };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        let findings = set.examine(None, &caller(None));
        let [one] = findings.as_slice() else { panic!("{findings:?}") };
        let file = scratch.path().join("gone.toml");
        assert_eq!(one.about, "gone");
        assert_eq!(
            one.what,
            format!("{} contains a grant of it, but no such plugin is installed", file.display())
        );
        assert_eq!(one.fix, "install it, or revoke the approval with: bootc-image plugin revoke gone");
    }

    #[test]
    fn a_policy_with_a_similar_name_is_suggested() {
        let scratch = tempfile::tempdir().unwrap();
        for id in ["registry-policy", "own-lists"] {
            let kind = "[[format]]\nname = \"f\"\nsummary = \"x\"\ncolumns = [\"image\"]\n";
            let manifest = manifest(id, if id == "registry-policy" { "" } else { kind });
            fs::create_dir_all(scratch.path().join(id)).unwrap();
            fs::write(scratch.path().join(id).join("plugin.toml"), manifest).unwrap();
        }
        let places = Places { plugins: vec![(Place::Image, scratch.path().to_owned())], ..Places::default() };
        let mut configuration = Configuration::default();
        configuration.add("policy.mandatory = [\"regsitry-policy\", \"other\", \"own-list\"]").unwrap();
        let set = PluginSet::new(Environment { places, configuration, ..Environment::default() });
        let fix = |id: &str| {
            let found: Vec<String> =
                set.examine(Some(id), &caller(None)).into_iter().map(|finding| finding.fix).collect();
            found.join("|")
        };
        let plain = "install it, or remove it from the configuration";
        assert_eq!(fix("regsitry-policy"), format!("did you mean registry-policy? Otherwise: {plain}"));
        assert_eq!((&*fix("other"), &*fix("own-list")), (plain, plain));
    }

    #[test]
    fn ignored_files_are_reported() {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["site.toml", "site.conf", ".hidden", "README.md", "site.toml~", "site.toml.rpmsave"] {
            fs::write(scratch.path().join(name), "").unwrap();
        }
        let places = Places { configuration: vec![scratch.path().to_owned()], ..Places::default() };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        let what = format!(
            "{} is not read because its name does not end in .toml",
            scratch.path().join("site.conf").display()
        );
        assert_eq!(
            set.examine(None, &caller(None)),
            [finding("configuration", what, "rename it, or remove it")]
        );
    }

    #[test]
    fn what_a_hidden_file_sets_is_also_reported_for_the_plugin_that_it_concerns() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let guard = "[policy]\nmandatory = [\"gone\"]\n";
        for (name, text) in
            [("usr/a.toml", guard), ("etc/a.toml", ""), ("usr/b.toml", ""), ("etc/b.toml", "")]
        {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        }
        let places = Places { configuration: vec![path("usr"), path("etc")], ..Places::default() };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        let (by, file) = (path("etc/a.toml"), path("usr/a.toml"));
        let what = format!(
            "{} replaces {}; no longer in effect: [policy] mandatory = [\"gone\"]",
            by.display(),
            file.display()
        );
        let fix = format!(
            "rename {0} so that both files are read, or copy the settings to keep into {0}",
            by.display()
        );
        assert_eq!(set.examine(None, &caller(None)), [finding("configuration", what.clone(), &fix)]);
        assert_eq!(set.examine(Some("gone"), &caller(None)), [finding("gone", what, &fix)]);
        assert_eq!(set.examine(Some("other"), &caller(None)), []);
    }
}
