//! The images that must stay in bootc's storage: those of deployments, bound images, and those that units of deployments start. If they
//! cannot all be determined, nothing is removed.

use std::collections::BTreeMap;

use bootc_image_containers_storage::{Image, named};
use bootc_image_model::digest::Digest;
use bootc_image_model::reference::{InvalidReference, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::root::RootDir;

use super::names::{as_named_here, name_in_storage};
use super::systems::systems;
use crate::aliases::aliases;
use crate::bootc_store::BootcStore;
use crate::bound::{Bound, MayMean, Problem, bound_images};
use crate::error::Error;
use crate::host::{Host, physical};
use crate::podman;
use crate::sysroot::{self, Deployed};
use crate::system::System;
use crate::units::{ImageName, Units};

/// The needed images, and what needs each.
#[derive(Debug, Default)]
pub struct Needs {
    names: Vec<NeededName>,
    /// By manifest.
    manifests: BTreeMap<Digest, String>,
    /// Texts from units that may be an id or a name that cannot be parsed here.
    texts: Vec<(String, String)>,
    /// Names that are not completely known before a unit starts.
    partly: Vec<(ImageName, String)>,
}

/// A name by which an image is started.
#[derive(Debug)]
struct NeededName {
    /// `REGISTRY/REPOSITORY`, or the end of that for a short name, whose registry is unknown.
    repository: String,
    is_short: bool,
    version: Version,
    who: String,
}

/// The tag or digest that podman looks for. With a digest, any name of that image in the repository matches, whatever its tag is.
#[derive(Debug)]
enum Version {
    Tag(String),
    Digest(Digest),
    /// Unknown.
    Any,
}

impl NeededName {
    fn new(name: &Reference, is_short: bool, who: &str) -> Self {
        let repository = if is_short { name.repository().to_owned() } else { full_repository(name) };
        let version = match (name.digest(), name.tag()) {
            (Some(digest), _) => Version::Digest(digest.clone()),
            (None, tag) => Version::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Self { repository, is_short, version, who: who.to_owned() }
    }

    /// Whether it matches this name, which is one of the image's, if an image is given.
    fn is(&self, name: &Reference, image: Option<&Image>) -> bool {
        let repository = full_repository(name);
        let is_end = |rest: &str| self.is_short && rest.ends_with('/');
        repository.strip_suffix(&self.repository).is_some_and(|rest| rest.is_empty() || is_end(rest))
            && match &self.version {
                Version::Tag(tag) => name.tag() == Some(tag),
                Version::Digest(digest) => {
                    name.digest() == Some(digest) || image.is_some_and(|image| image.is_of(digest))
                }
                Version::Any => true,
            }
    }
}

/// Removes the storage in brackets before a containers-storage name, and the `@` before an id.
fn without_store(name: &str) -> &str {
    let inside = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    // An IPv6 address in brackets has no slash.
    let name = inside.filter(|(store, _)| store.contains('/')).map_or(name, |(_, name)| name);
    name.strip_prefix('@').unwrap_or(name)
}

fn full_repository(name: &Reference) -> String {
    format!("{}/{}", name.registry(), name.repository())
}

impl Needs {
    /// The needs of all deployments of a physical root, including staged and rollback deployments.
    ///
    /// # Errors
    /// [`Error::NeedsUnknown`].
    pub fn find(physical: &RootDir, settings: &Settings) -> Result<Self, Error> {
        Self::read(physical, settings, true).map_err(|error| Error::NeedsUnknown(Box::new(error)))
    }

    /// The images that bootc keeps when it collects garbage with each upgrade. It ignores units that are not bound.
    ///
    /// # Errors
    /// Any I/O error; [`Error::Composefs`]; errors of bound images.
    fn of_bootc(physical: &RootDir, settings: &Settings) -> Result<Self, Error> {
        Self::read(physical, settings, false)
    }

    fn read(physical: &RootDir, settings: &Settings, with_units: bool) -> Result<Self, Error> {
        if sysroot::is_composefs(physical)? {
            return Err(Error::Composefs);
        }
        let mut needs = Self::default();
        let deployments = sysroot::all(physical)?;
        if deployments.is_empty() {
            return Err(Error::NoDeployment(physical.path(".")));
        }
        for system in systems(physical, settings)? {
            needs.add_system(&system, with_units)?;
        }
        for deployment in deployments {
            let who = format!("deployment {}, which was made from it", deployment.short_name());
            needs.add_deployed(deployment.deployed(physical)?, &who);
        }
        Ok(needs)
    }

    fn add_system(&mut self, system: &System, with_units: bool) -> Result<(), Error> {
        let Bound { images, problems } = bound_images(system)?;
        let aliases = aliases(system)?;
        let bound = format!("{}, to which it is bound", system.name());
        for image in images {
            self.add_image(&ImageName::Known(image), &bound, &aliases);
        }
        for Problem { error, may_mean } in problems {
            match may_mean {
                MayMean::Nothing => {}
                MayMean::Images(images) => {
                    images.iter().for_each(|image| self.add_image(image, &bound, &aliases));
                }
                MayMean::Anything => return Err(error),
            }
        }
        if !with_units {
            return Ok(());
        }
        for image in podman::infra_images(system)? {
            let who = format!("every pod of {}, as its containers.conf says", system.name());
            self.add_image(&ImageName::Known(image), &who, &aliases);
        }
        for wanted in Units::read(system)?.images()? {
            let who = format!("unit {} of {}", wanted.unit.display(), system.name());
            self.add_image(&wanted.image, &who, &aliases);
        }
        Ok(())
    }

    /// Adds an image as a unit names it.
    fn add_image(&mut self, image: &ImageName, who: &str, aliases: &[(String, String)]) {
        let name = match image {
            ImageName::Known(name) => without_store(as_named_here(name)),
            ImageName::Partly(_) => {
                self.partly.push((image.clone(), who.to_owned()));
                return;
            }
        };
        match Reference::parse(name) {
            Ok(reference) => self.add_name(&reference, false, who),
            Err(InvalidReference::ShortName(_)) => match Reference::parse_local(name) {
                Ok(short) => {
                    self.add_name(&short, true, who);
                    let rest = name.strip_prefix(short.repository()).unwrap_or_default();
                    let leads_to = aliases.iter().filter(|(name, _)| name == short.repository());
                    for name in
                        leads_to.filter_map(|(_, full)| Reference::parse(&format!("{full}{rest}")).ok())
                    {
                        self.add_name(&name, false, who);
                    }
                }
                Err(_) => self.add_unparsed(name, who),
            },
            Err(_) => self.add_unparsed(name, who),
        }
        self.texts.push((name.to_owned(), who.to_owned()));
    }

    /// Adds a name that cannot be parsed here. podman refuses most of them, and so has no such image. It accepts a registry that has
    /// the name of a transport and a port, and other digest algorithms. So every tag and digest in the same repository is kept.
    fn add_unparsed(&mut self, name: &str, who: &str) {
        let repository = name.split_once('@').map_or(name, |(repository, _)| repository);
        let path = repository.rfind('/').map_or(0, |slash| slash + 1);
        let end = repository[path..].find(':').map_or(repository.len(), |colon| path + colon);
        if end > 0 {
            for version in [':', '@'] {
                let begins = format!("{}{version}", &repository[..end]);
                self.partly.push((ImageName::Partly(vec![begins, String::new()]), who.to_owned()));
            }
        }
    }

    /// Adds the image of a deployment. If its manifest is unknown, any image with that name counts.
    fn add_deployed(&mut self, deployed: Deployed, who: &str) {
        let name = deployed.name.and_then(|name| name_in_storage(&name).ok());
        if let Some(name) = &name {
            self.add_name(name, false, who);
        }
        match deployed.image {
            Some((_, manifest)) => {
                self.manifests.entry(manifest).or_insert_with(|| who.to_owned());
            }
            None => self.names.extend(
                name.map(|name| NeededName { version: Version::Any, ..NeededName::new(&name, false, who) }),
            ),
        }
    }

    fn add_name(&mut self, name: &Reference, is_short: bool, who: &str) {
        if let Some(digest) = name.digest() {
            self.manifests.entry(digest.clone()).or_insert_with(|| who.to_owned());
        }
        self.names.push(NeededName::new(name, is_short, who));
    }

    /// What needs this name, which is one of the image's, if an image is given.
    pub fn of_name(&self, name: &str, image: Option<&Image>) -> Option<&str> {
        let partly = || self.partly.iter().find(|(image, _)| image.may_be(name)).map(|(_, who)| who.as_str());
        let is_it =
            |text: &str| name.strip_suffix(text).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        // podman may spell a name in another way.
        let known = match Reference::parse_local(name) {
            Ok(reference) => {
                let needed = self.names.iter().find(|needed| needed.is(&reference, image));
                needed.map(|needed| needed.who.as_str())
            }
            Err(_) => self.texts.iter().find(|(text, _)| is_it(text)).map(|(_, who)| who.as_str()),
        };
        known.or_else(partly)
    }

    /// What needs this image, by any of its names.
    pub fn of_image(&self, image: &Image) -> Option<&str> {
        let of_name = || image.names.iter().find_map(|name| self.of_name(name, Some(image)));
        let of_manifest = || self.manifests.iter().find(|(digest, _)| image.is_of(digest));
        let is_id = |text: &str| image.id.starts_with(text.strip_prefix("sha256:").unwrap_or(text));
        let of_id = || self.texts.iter().find(|(text, _)| is_id(text)).map(|(_, who)| who.as_str());
        let of_part = || {
            // The unknown part of a name in a unit may make it an id.
            let may_be = |(name, _): &&(ImageName, String)| name.may_be(&image.id);
            self.partly.iter().find(may_be).map(|(_, who)| who.as_str())
        };
        of_name().or_else(|| of_manifest().map(|(_, who)| who.as_str())).or_else(of_id).or_else(of_part)
    }
}

/// Reports which of these images the next upgrade will remove from bootc's storage. Errors are ignored, because the operation itself has
/// succeeded.
pub fn note_until_upgrade(host: Host<'_>, store: &BootcStore, names: &[&Reference]) {
    let look = || {
        let physical = physical(host.settings)?;
        let needs = Needs::of_bootc(&physical, host.settings)?;
        let contents = podman::open_store(store.root())?;
        let images = contents.images(host.settings.lock_limit, host.reporter)?;
        let goes =
            |name: &Reference| named(&images, name).is_some_and(|image| needs.of_image(image).is_none());
        Ok::<_, Error>(names.iter().filter(|name| goes(name)).map(ToString::to_string).collect::<Vec<_>>())
    };
    for name in look().unwrap_or_default() {
        host.reporter.note(&format!(
            "the next `bootc upgrade` will remove {name} from bootc's storage: it is neither a bound image nor the image of a \
             deployment; to keep it, bind it in /usr/lib/bootc/bound-images.d of the OS image"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Whether what a unit names is needed: this name of an image, and the image itself.
    fn needed(bound: &str, names: &[&str]) -> (bool, bool) {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("usr/lib/bootc/bound-images.d");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(scratch.path().join("unit"), format!("[Container]\nImage={bound}\n")).unwrap();
        let containers = scratch.path().join("etc/containers");
        std::fs::create_dir_all(&containers).unwrap();
        let aliases = "[aliases]\npodman = \"quay.io/podman/stable\"\n";
        std::fs::write(containers.join("registries.conf"), aliases).unwrap();
        std::os::unix::fs::symlink("/unit", directory.join("a.container")).unwrap();
        let mut needs = Needs::default();
        needs.add_system(&System::in_directory(scratch.path()).unwrap(), true).unwrap();
        let image = Image::named_in_tests(names).with_digest_in_tests(&format!("sha256:{HEX}"));
        (needs.of_name(names[0], Some(&image)).is_some(), needs.of_image(&image).is_some())
    }

    #[test]
    fn a_bound_image_is_found_however_it_is_written_and_named() {
        let pinned = |name: &str| format!("{name}@sha256:{HEX}");
        for (bound, names) in [
            ("quay.io/app:1".to_owned(), vec!["quay.io/app:1".to_owned()]),
            ("quay.io/app".to_owned(), vec!["quay.io/app:latest".to_owned()]),
            ("Quay.io/app:1".to_owned(), vec!["Quay.io/app:1".to_owned()]),
            ("quay.io/app:1".to_owned(), vec!["QUAY.io/app:1".to_owned()]),
            ("docker.io/app:1".to_owned(), vec!["docker.io/library/app:1".to_owned()]),
            ("app:1".to_owned(), vec!["docker.io/library/app:1".to_owned()]),
            ("app".to_owned(), vec!["localhost/app:latest".to_owned()]),
            ("podman".to_owned(), vec!["quay.io/podman/stable:latest".to_owned()]),
            ("podman:5".to_owned(), vec!["quay.io/podman/stable:5".to_owned()]),
            (pinned("podman"), vec![pinned("quay.io/podman/stable")]),
            (pinned("app:1"), vec![pinned("docker.io/library/app")]),
            (pinned("app"), vec!["docker.io/library/app:1".to_owned()]),
            (pinned("quay.io/app:1"), vec![pinned("quay.io/app"), "localhost/other:1".to_owned()]),
            (pinned("quay.io/app:1"), vec!["quay.io/app:2".to_owned()]),
        ] {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(needed(&bound, &names), (true, true), "{bound} {names:?}");
        }
    }

    #[test]
    fn an_image_that_is_named_by_its_id_or_digest_may_lose_other_names() {
        for bound in ["x", "sha256:x", "containers-storage:@x"] {
            assert_eq!(needed(bound, &["localhost/other:1"]), (false, true), "{bound}");
        }
        assert_eq!(needed(&format!("quay.io/app@sha256:{HEX}"), &["quay.io/other:1"]), (false, true));
    }

    #[test]
    fn what_isnt_it_isnt_needed() {
        for (bound, name) in [
            ("quay.io/app:1", "quay.io/app:2"),
            ("quay.io/app:1", "quay.io/x/app:1"),
            ("app:1", "quay.io/anapp:1"),
            ("app:1", "quay.io/app:2"),
            ("podman:5", "quay.io/podman/stable:6"),
        ] {
            assert_eq!(needed(bound, &[name]), (false, false), "{bound} {name}");
        }
    }

    #[test]
    fn a_name_that_podman_takes_and_we_dont_keeps_its_repository() {
        for (bound, name, expected) in [
            ("registry:5000/app", "registry:5000/app:latest", true),
            ("registry:5000/app:1", "registry:5000/app:1", true),
            ("registry:5000/app", "registry:5000/app-two:latest", false),
            ("quay.io/app:1@sha384:0123", "quay.io/app:2", true),
            ("app@sha384:0123", "quay.io/app@sha256:x", true),
            ("quay.io/app@sha384:0123", "quay.io/other:1", false),
            ("containers-storage:[overlay@/x+/y]quay.io/app:1", "quay.io/app:1", true),
            ("dir:/srv/app", "quay.io/app:1", false),
            ("containers-storage:@x", "quay.io/app:1", false),
        ] {
            assert_eq!(
                needed(bound, &[&name.replace("sha256:x", &format!("sha256:{HEX}"))]).0,
                expected,
                "{bound}"
            );
        }
    }

    #[test]
    fn the_image_of_pods_is_needed() {
        let scratch = tempfile::tempdir().unwrap();
        let containers = scratch.path().join("etc/containers");
        std::fs::create_dir_all(&containers).unwrap();
        let text = "[engine]\ninfra_image = \"quay.io/pause:1\"\n";
        std::fs::write(containers.join("containers.conf"), text).unwrap();
        let mut needs = Needs::default();
        let system = System::in_directory(scratch.path()).unwrap();
        needs.add_system(&system, false).unwrap();
        assert_eq!(needs.of_name("quay.io/pause:1", None), None);
        needs.add_system(&system, true).unwrap();
        let who = format!("every pod of {}, as its containers.conf says", system.name());
        assert_eq!(needs.of_name("quay.io/pause:1", None), Some(who.as_str()));
    }
}
