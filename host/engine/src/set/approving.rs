//! Approving and revoking plugins.

use std::path::{Path, PathBuf};

use bootc_image_core::error::Error;
use bootc_image_core::plugin::{Plugins as _, ProvidedCommand};
use bootc_image_manifest::World;
use bootc_image_model::grant::{Grant, Role};
use bootc_image_model::plugin::PluginId;
use bootc_image_os::processes;

use super::doctor::fix_of;
use super::{PluginSet, problem};
use crate::formats::{FormatClaim, Formats as _};
use crate::places::{Place, Places};
use crate::trust::code::{Code, digest_differs};
use crate::trust::grants::{self, Found};
use crate::trust::inventory::{Inventory, Plugin};
use crate::trust::way_out::{self, Problem};

impl PluginSet {
    /// The policy with this id, if it is installed but not enabled. Plugins and grants are read again, because a grant may just have
    /// been removed.
    pub fn disabled_policy(&self, id: &PluginId) -> Option<Plugin> {
        let found = Inventory::take(&self.environment).plugins.remove(id)?;
        let is_disabled_policy =
            found.manifest.component.world == World::PolicyValidator && !found.standing.is_enabled();
        is_disabled_policy.then_some(found)
    }

    /// The grant with which a plugin is approved. Fails if its component cannot be instantiated.
    pub(super) fn to_grant(&self, plugin: &str) -> Result<Grant, Error> {
        let (found, grant) = self.approvable(plugin)?;
        if let Err(why) = self.instantiate(found, false) {
            processes::check_interrupted()?;
            return Err(problem(plugin, why.to_string(), fix_of(&why, found)));
        }
        Ok(grant)
    }

    /// A plugin and the grant with which it is approved, if its manifest, the digest of its component and the other plugins allow that.
    fn approvable(&self, plugin: &str) -> Result<(&Plugin, Grant), Error> {
        let found = self.find(plugin)?;
        let problem = |reason: String, fix: &str| problem(plugin, reason, fix);
        let Code::File(code) = &found.code else {
            return Err(problem(
                "it is built into bootc-image and needs no approval".to_owned(),
                "nothing needs to be done",
            ));
        };
        let role = role_of(found.manifest.component.world);
        refuse_lost_policy(&self.look().grants, &found.manifest.id, role)?;
        for claim in found.claims() {
            let of_another =
                |other: &&ProvidedCommand| other.name == claim.name && other.plugin != claim.plugin;
            if let Some(other) = self.provided_commands()?.iter().find(of_another) {
                let reason =
                    format!("it provides `cmd {}`, which {} already provides", claim.name, other.plugin);
                let is_built_in =
                    self.look().plugins.get(&other.plugin).is_some_and(|plugin| plugin.place.is_none());
                let fix = if is_built_in {
                    format!(
                        "mask the built-in plugin first, in the configuration with policy.masked = [{{ id = \"{}\", \
                         place = \"built-in\" }}]; then approve {plugin} again",
                        other.plugin
                    )
                } else {
                    format!(
                        "revoke or mask {} first: only one plugin can provide `cmd {}`",
                        other.plugin, claim.name
                    )
                };
                return Err(problem(reason, &fix));
            }
        }
        let claims = self.format_claims()?;
        for format in &found.manifest.formats {
            let of_another =
                |other: &&FormatClaim| other.name == format.name && other.plugin != found.manifest.id;
            if let Some(other) = claims.iter().find(of_another) {
                let reason = format!(
                    "it provides the format {}, which {} already provides",
                    format.name, other.plugin
                );
                return Err(problem(
                    reason,
                    &format!(
                        "revoke or mask {} first: only one plugin can provide the format {}",
                        other.plugin, format.name
                    ),
                ));
            }
        }
        let now = self.component_digest(found)?.unwrap_or_default();
        if now != code.sha256 {
            let reason = digest_differs(&code.file.named.display(), &now, &code.sha256);
            return Err(problem(
                reason,
                &format!(
                    "install it again, or write the new digest into its manifest: manifest and {} do not belong together",
                    found.manifest.component.what()
                ),
            ));
        }
        let capabilities =
            found.manifest.capabilities.iter().map(|wanted| wanted.capability.clone()).collect();
        let was_mandatory = |grant: &Found| grant.mandatory && grant.plugin == found.manifest.id;
        let grant = Grant {
            plugin: found.manifest.id.clone(),
            sha256: now,
            manifest: found.manifest_sha256.clone(),
            native: found.manifest.component.native,
            role,
            // A mandatory policy stays mandatory when an update of it is approved.
            mandatory: self.look().grants.iter().any(was_mandatory),
            capabilities,
        };
        Ok((found, grant))
    }

    pub(super) fn write_grant(&self, grant: &Grant) -> Result<PathBuf, Error> {
        let places = self.places();
        let Some(path) = grants::file_of(places, &grant.plugin) else {
            return Err(Error::NoSuchPlugin { name: grant.plugin.to_string(), hint: String::new() });
        };
        if let Some(file) = self.approved_by_image(&grant.plugin) {
            let reason = format!("the OS image already approves it in {}", file.display());
            return Err(problem(grant.plugin.as_str(), reason, "nothing needs to be done"));
        }
        let granted = read_grants(places)?;
        refuse_lost_policy(&granted, &grant.plugin, grant.role)?;
        refuse_shared(&granted, &path, &grant.plugin)?;
        grants::write(&path, grant).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// How to mask a plugin, wherever it is.
    fn mask_text(&self, plugin: &PluginId) -> String {
        let place = self.look().plugins.get(plugin).and_then(|found| found.place).unwrap_or(Place::Image);
        way_out::mask(plugin.as_str(), place).unwrap_or_else(|| "remove the plugin's directory".to_owned())
    }

    pub(super) fn remove_grant(&self, plugin: &PluginId) -> Result<PathBuf, Error> {
        let places = self.places();
        let problem = |reason: String, fix: String| problem(plugin.as_str(), reason, fix);
        let granted = read_grants(places)?;
        let own = grants::file_of(places, plugin);
        let mut of_plugin = granted.iter().filter(|grant| grant.plugin == *plugin);
        if let Some(other) = of_plugin.find(|grant| Some(&grant.file) != own.as_ref()) {
            let file = other.file.display();
            return Err(problem(
                format!("its grant is in {file}, which `plugin approve` did not write"),
                format!("{}; or {}", other.how_to_revoke(), self.mask_text(plugin)),
            ));
        }
        match own.filter(|own| granted.iter().any(|grant| grant.file == *own)) {
            Some(path) => {
                refuse_shared(&granted, &path, plugin)?;
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                Ok(path)
            }
            None => {
                self.find(plugin.as_str())?;
                Err(problem(
                    "it has not been approved".to_owned(),
                    "list the plugins with: bootc-image plugin list".to_owned(),
                ))
            }
        }
    }
}

fn role_of(world: World) -> Role {
    match world {
        World::CommandWrapper => Role::Command,
        World::FormatOutput => Role::Format,
        World::PolicyValidator => Role::Policy,
    }
}

/// Reads all grants, and fails if one cannot be read: a grant must not be replaced or removed while others are unknown.
fn read_grants(places: &Places) -> Result<Vec<Found>, Error> {
    let (found, problems) = grants::read(places);
    let refused = |Problem { what, fix }| Err(Error::Configuration { why: what, fix });
    problems.into_iter().next().map_or(Ok(found), refused)
}

/// Refuses to approve a former policy in another role: that would silently remove a policy.
fn refuse_lost_policy(granted: &[Found], plugin: &PluginId, role: Role) -> Result<(), Error> {
    let lost = if role == Role::Policy { None } else { grants::was_policy(granted, plugin) };
    lost.map_or(Ok(()), |(reason, fix)| Err(problem(plugin.as_str(), reason, fix)))
}

/// Refuses to replace or remove a file that also contains grants of other plugins.
fn refuse_shared(granted: &[Found], path: &Path, plugin: &PluginId) -> Result<(), Error> {
    match granted.iter().find(|grant| grant.file == path && grant.plugin != *plugin) {
        None => Ok(()),
        Some(other) => {
            let reason = format!("{} also contains a grant of {}", path.display(), other.plugin);
            Err(problem(
                plugin.as_str(),
                reason,
                format!("move the grant of {} to a file of its own", other.plugin),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bootc_image_core::plugin::MissingPolicy;

    use super::*;
    use crate::set::doctor::tests::caller;
    use crate::trust::code;
    use crate::trust::configuration::Configuration;
    use crate::trust::environment::Environment;
    use crate::trust::inventory::tests::{COMPONENT, manifest};

    /// A host with directories `usr` and `etc`.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), text).unwrap();
        }

        /// Installs the plugin `p`, of this kind.
        fn install(&self, place: &str, rest: &str) {
            let manifest = manifest("p", rest).replace(COMPONENT, &code::hex(b"component"));
            self.write(&format!("{place}/plugins/p/plugin.toml"), manifest);
            self.write(&format!("{place}/plugins/p/p.wasm"), "component");
        }

        /// The set of plugins as a new process finds it.
        fn set(&self, masked: Option<Place>) -> PluginSet {
            let places = Places {
                plugins: vec![
                    (Place::Image, self.path("usr/plugins")),
                    (Place::Site, self.path("etc/plugins")),
                ],
                grants: vec![
                    (Place::Image, self.path("usr/grants.d")),
                    (Place::Site, self.path("etc/grants.d")),
                ],
                ..Places::default()
            };
            let masked = masked.map(|place| (id(), place)).into_iter().collect();
            let configuration = Configuration { masked, ..Configuration::default() };
            PluginSet::new(Environment { places, configuration, ..Environment::default() })
        }
    }

    fn id() -> PluginId {
        PluginId::new("p").unwrap()
    }

    /// The grant of `p`. Its component is not instantiated, because there is no compiler here.
    fn grant_of_p(set: &PluginSet) -> Result<Grant, Error> {
        set.approvable("p").map(|(_, grant)| grant)
    }

    const OWN: &str = "etc/grants.d/p.toml";
    const FORMAT: &str = "[[format]]\nname = \"f\"\nsummary = \"x\"\ncolumns = [\"image\"]\n";

    #[test]
    fn a_plugin_that_the_os_image_approves_is_not_approved_again() {
        let host = Host::new();
        host.install("usr", "");
        host.write("usr/grants.d/image.toml", "[[grant]]\nplugin = \"p\"\n");
        let set = host.set(None);
        let grant = grant_of_p(&set).unwrap();
        assert_eq!((grant.role, grant.mandatory), (Role::Policy, false));
        assert_eq!(set.approved_by_image(&id()), Some(host.path("usr/grants.d/image.toml")));
        let error = set.approve(&grant).unwrap_err();
        assert!(error.to_string().contains("the OS image already approves it in"), "{error}");
        assert!(!host.path(OWN).exists());
        // A plugin that the image ships but does not approve can be approved by the site.
        fs::remove_dir_all(host.path("usr/grants.d")).unwrap();
        let set = host.set(None);
        assert_eq!(set.approved_by_image(&id()), None);
        assert_eq!(set.approve(&grant).unwrap(), host.path(OWN));
        assert!(fs::read_to_string(host.path(OWN)).unwrap().contains("role = \"policy\"\n"));
        assert_eq!(host.set(None).approved_by_image(&id()), None);
    }

    #[test]
    fn a_missing_policy_is_reported_until_its_approval_is_revoked() {
        let host = Host::new();
        host.install("etc", "");
        let set = host.set(None);
        let grant = Grant { mandatory: true, ..grant_of_p(&set).unwrap() };
        set.approve(&grant).unwrap();
        let set = host.set(None);
        assert_eq!((set.missed(), set.mandatory()), (Vec::new(), vec![id()]));
        assert_eq!(set.missing(), []);
        assert!(set.disabled_policy(&id()).is_none());
        // An update that is approved stays mandatory.
        assert!(grant_of_p(&set).unwrap().mandatory);

        fs::remove_dir_all(host.path("etc/plugins")).unwrap();
        let set = host.set(None);
        let missed = MissingPolicy {
            plugin: id(),
            file: host.path(OWN),
            why: "is not installed",
            revoke: "revoke the approval with: bootc-image plugin revoke p".to_owned(),
        };
        assert_eq!((set.missed(), set.mandatory()), (vec![missed.clone()], vec![id()]));
        let why = format!(
            "{} approves it as mandatory, but it is not installed: every operation except `list` is denied",
            missed.file.display()
        );
        assert_eq!(set.missing(), [(id(), why)]);
        let what = "policy p is mandatory but is not installed, so every operation except `list` is denied"
            .to_owned();
        let findings = set.examine(None, &caller(None));
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((&*finding.about, &finding.what, &finding.fix), ("p", &what, &missed.fix()));

        assert_eq!(set.revoke(&id()).unwrap(), host.path(OWN));
        let set = host.set(None);
        assert_eq!(
            (set.missed(), set.mandatory(), set.examine(None, &caller(None))),
            (vec![], vec![], vec![])
        );
        assert!(matches!(set.revoke(&id()), Err(Error::NoSuchPlugin { .. })));
    }

    #[test]
    fn a_policy_whose_approval_was_revoked_is_still_installed() {
        let host = Host::new();
        host.install("etc", "");
        let set = host.set(None);
        set.approve(&grant_of_p(&set).unwrap()).unwrap();
        let set = host.set(None);
        assert!(set.look().plugins[&id()].standing.is_enabled());
        set.revoke(&id()).unwrap();
        assert_eq!(set.disabled_policy(&id()).map(|found| found.place), Some(Some(Place::Site)));
    }

    #[test]
    fn a_former_policy_is_reported_and_one_that_denies_is_not() {
        let host = Host::new();
        host.install("etc", "");
        let set = host.set(None);
        set.approve(&grant_of_p(&set).unwrap()).unwrap();
        let why = |masked| host.set(masked).missed().first().map(|missed| missed.why);
        assert_eq!(why(None), None);
        host.install("etc", FORMAT);
        assert_eq!(why(None), Some("is installed in a version that is not a policy"));
        assert_eq!(why(Some(Place::Site)), Some("is installed only in another version, which is masked"));
        host.write("etc/plugins/p/plugin.toml", "nonsense");
        assert_eq!(why(None), None, "a plugin that cannot be read denies");
        host.write("etc/grants.d/z.toml", "nonsense");
        fs::remove_dir_all(host.path("etc/plugins")).unwrap();
        assert_eq!(why(None), None, "all operations are refused anyway");
    }

    #[test]
    fn a_former_policy_is_not_approved_in_another_role() {
        let host = Host::new();
        host.install("etc", "");
        let as_policy = grant_of_p(&host.set(None)).unwrap();
        host.install("etc", FORMAT);
        let as_format = grant_of_p(&host.set(None)).unwrap();
        assert_eq!(as_format.role, Role::Format);
        let revoke =
            "if it is no longer needed as a policy, revoke the approval with: bootc-image plugin revoke p";
        for mandatory in [false, true] {
            let grant = Grant { mandatory, ..as_policy.clone() };
            grants::write(&host.path(OWN), &grant).unwrap();
            let set = host.set(None);
            // Approving is refused too if the grant was added after `grant_for`.
            for error in [grant_of_p(&set).unwrap_err(), set.approve(&as_format).unwrap_err()] {
                let Error::Plugin { reason, fix, .. } = &error else { panic!("{error}") };
                let file = host.path(OWN);
                let why = format!(
                    "{} approves it as a policy, but the installed version is not a policy",
                    file.display()
                );
                assert_eq!((reason, &**fix), (&why, revoke));
            }
            let fixes: Vec<String> =
                set.examine(None, &caller(None)).into_iter().map(|finding| finding.fix).collect();
            assert!(fixes.iter().any(|fix| fix == revoke), "{fixes:?}");
            assert!(fixes.iter().all(|fix| !fix.contains("plugin approve")), "{fixes:?}");
            assert_eq!(set.mandatory().is_empty(), !mandatory, "as it was");
        }
        host.set(None).revoke(&id()).unwrap();
        let set = host.set(None);
        assert_eq!(set.approve(&grant_of_p(&set).unwrap()).unwrap(), host.path(OWN));
        // Grants that no command wrote are not removed by a command.
        host.write("usr/grants.d/image.toml", "[[grant]]\nplugin = \"p\"\nmandatory = true\n");
        let Error::Plugin { fix, .. } = grant_of_p(&host.set(None)).unwrap_err() else { panic!() };
        let file = host.path("usr/grants.d/image.toml");
        assert_eq!(
            fix,
            format!(
                "if it is no longer needed as a policy, replace {} by an empty file with: touch {}",
                file.display(),
                host.path("etc/grants.d/image.toml").display()
            )
        );
    }

    #[test]
    fn a_masked_copy_does_not_hide_that_the_approved_one_was_renamed() {
        for renamed in ["p.bak", "p-old"] {
            let host = Host::new();
            let is_ignored = |masked| {
                let set = host.set(Some(masked));
                let inventory = set.look();
                assert_eq!(inventory.ignored.len() + inventory.broken.len(), 1, "{inventory:?}");
                inventory.broken.is_empty()
            };
            host.install("etc", "");
            let set = host.set(None);
            set.approve(&grant_of_p(&set).unwrap()).unwrap();
            host.install("usr", "");
            let directory = host.path("etc/plugins").join(renamed);
            fs::rename(host.path("etc/plugins/p"), &directory).unwrap();
            assert!(!is_ignored(Place::Image), "{renamed}");
            // The same if the image's grant approves the masked copy.
            host.write("usr/grants.d/image.toml", "[[grant]]\nplugin = \"p\"\n");
            assert!(!is_ignored(Place::Image), "{renamed}");
            // It is a copy beside the approved plugin, which is masked on purpose.
            fs::remove_file(host.path(OWN)).unwrap();
            assert!(is_ignored(Place::Image), "{renamed}");
            fs::write(directory.join("plugin.toml"), "nonsense").unwrap();
            assert_eq!(is_ignored(Place::Image), renamed == "p.bak", "{renamed}");
        }
    }

    #[test]
    fn only_masking_the_approved_copy_suppresses_the_report() {
        let host = Host::new();
        let why = |masked| host.set(masked).missed().first().map(|missed| missed.why);
        host.install("etc", "");
        let set = host.set(None);
        set.approve(&grant_of_p(&set).unwrap()).unwrap();
        assert_eq!(why(Some(Place::Site)), None, "the administrator masked it on purpose");
        // The image's copy is the same, but it is not the missing one.
        host.install("usr", "");
        assert_eq!(why(Some(Place::Image)), None, "the site's copy judges");
        fs::remove_dir_all(host.path("etc/plugins")).unwrap();
        assert_eq!(why(Some(Place::Image)), Some("is not installed"));
        assert_eq!(why(Some(Place::Site)), None, "the image's copy judges");
        fs::remove_dir_all(host.path("usr/plugins")).unwrap();
        // A copy whose manifest cannot be read is masked by its location.
        host.write("etc/plugins/p/nothing", "");
        assert_eq!(why(Some(Place::Site)), None);

        // For a grant of the image any copy in the image counts.
        fs::remove_file(host.path(OWN)).unwrap();
        host.write("usr/grants.d/p.toml", "[[grant]]\nplugin = \"p\"\nrole = \"policy\"\n");
        assert_eq!(why(Some(Place::Site)), Some("is not installed"));
        host.install("usr", FORMAT);
        fs::remove_dir_all(host.path("etc/plugins")).unwrap();
        assert_eq!(why(Some(Place::Image)), None);
    }
}
