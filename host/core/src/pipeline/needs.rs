//! What must stay in bootc's storage: the images of deployments, and those that are bound to them. If that can't be told in
//! full, nothing is removed.

use std::collections::BTreeMap;

use super::running_root;
use crate::digest::Digest;
use crate::error::Error;
use crate::operation::HostImage;
use crate::pipeline::local::{as_named_here, host_image};
use crate::pipeline::set_unified::name_in_storage;
use crate::reference::{InvalidReference, Reference};
use crate::settings::Settings;
use crate::storage::aliases::aliases;
use crate::storage::bound::bound_images;
use crate::storage::containers::Image;
use crate::storage::ostree::Repository;
use crate::storage::root::RootDir;
use crate::storage::sysroot;

/// Who needs what.
#[derive(Debug, Default)]
pub(super) struct Needs {
    names: Vec<NeededName>,
    /// By manifest.
    manifests: BTreeMap<Digest, String>,
    /// As bound images are written, who needs it: an id, or a name that is none of ours.
    texts: Vec<(String, String)>,
}

/// A name that somebody starts an image by.
#[derive(Debug)]
struct NeededName {
    /// `REGISTRY/REPOSITORY`, or the end of it: where a short name leads, whoever starts it will find out.
    repository: String,
    is_short: bool,
    version: Version,
    who: String,
}

/// What podman looks for: where there is a digest, any name of that image in the repository, whatever tag stands beside it.
#[derive(Debug)]
enum Version {
    Tag(String),
    Digest(Digest),
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

    /// Whether it is this name of an image, if there is one.
    fn is(&self, name: &Reference, image: Option<&Image>) -> bool {
        let repository = full_repository(name);
        let is_end = |rest: &str| self.is_short && rest.ends_with('/');
        repository.strip_suffix(&self.repository).is_some_and(|rest| rest.is_empty() || is_end(rest))
            && match &self.version {
                Version::Tag(tag) => name.tag() == Some(tag),
                Version::Digest(digest) => {
                    name.digest() == Some(digest) || image.is_some_and(|image| image.is_of(digest))
                }
            }
    }
}

fn full_repository(name: &Reference) -> String {
    format!("{}/{}", name.registry(), name.repository())
}

impl Needs {
    /// Of all deployments of a physical root, staged ones and those to roll back to as well.
    ///
    /// # Errors
    /// [`Error::NeedsUnknown`].
    pub(super) fn find(physical: &RootDir, settings: &Settings) -> Result<Self, Error> {
        Self::read(physical, settings).map_err(|error| Error::NeedsUnknown(Box::new(error)))
    }

    fn read(physical: &RootDir, settings: &Settings) -> Result<Self, Error> {
        let exists = |path| physical.exists(path).map_err(physical.error("examine", path));
        if !exists("ostree/repo")? && exists("composefs")? {
            return Err(Error::Composefs);
        }
        let mut needs = Self::default();
        if settings.sysroot.is_none() {
            needs.add_bound(&running_root()?, "the running system")?;
        }
        let deployments = sysroot::all(physical)?;
        if deployments.is_empty() {
            return Err(Error::NoDeployment(physical.path(".")));
        }
        for deployment in deployments {
            let who = format!("deployment {}", deployment.short_name());
            let root =
                physical.open_root(&deployment.path).map_err(physical.error("open", &deployment.path))?;
            needs.add_bound(&root, &who)?;
            match deployment.image(physical) {
                Ok(name) => needs.add_host(host_image(physical, name, deployment.commit)?, &who),
                // Whatever its origin says, or doesn't: its commit may name a manifest.
                Err(Error::NotFromImage(_)) => {
                    match Repository::open(physical)?.manifest_digest(&deployment.commit) {
                        Ok(manifest) => {
                            needs.manifests.entry(manifest).or_insert(who);
                        }
                        Err(Error::Corrupt { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(needs)
    }

    fn add_bound(&mut self, root: &RootDir, who: &str) -> Result<(), Error> {
        let (names, problems) = bound_images(root)?;
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        let aliases = if names.is_empty() { Vec::new() } else { aliases(root)? };
        for name in names {
            let who = format!("{who}, to which it is bound");
            let plain = as_named_here(&name);
            match Reference::parse(plain) {
                Ok(reference) => self.add_name(&reference, false, &who),
                Err(InvalidReference::ShortName(_)) => {
                    let short = Reference::parse_local(plain)?;
                    self.add_name(&short, true, &who);
                    let rest = plain.strip_prefix(short.repository()).unwrap_or_default();
                    let leads_to = aliases.iter().filter(|(name, _)| name == short.repository());
                    for name in
                        leads_to.filter_map(|(_, full)| Reference::parse(&format!("{full}{rest}")).ok())
                    {
                        self.add_name(&name, false, &who);
                    }
                }
                // It may be a name all the same, to whoever starts it.
                Err(error) => return Err(error.into()),
            }
            self.texts.push((plain.to_owned(), who));
        }
        Ok(())
    }

    fn add_host(&mut self, image: HostImage, who: &str) {
        let who = format!("{who}, which was made from it");
        if let Ok(name) = name_in_storage(&image) {
            self.add_name(&name, false, &who);
        }
        self.manifests.entry(image.manifest_digest).or_insert(who);
    }

    fn add_name(&mut self, name: &Reference, is_short: bool, who: &str) {
        if let Some(digest) = name.digest() {
            self.manifests.entry(digest.clone()).or_insert_with(|| who.to_owned());
        }
        self.names.push(NeededName::new(name, is_short, who));
    }

    /// Who needs that a storage has this name, which is one of this image's, if of any.
    pub(super) fn of_name(&self, name: &str, image: Option<&Image>) -> Option<&str> {
        // The tools don't write every name as we do.
        if let Ok(reference) = Reference::parse_local(name) {
            let needed = self.names.iter().find(|needed| needed.is(&reference, image));
            return needed.map(|needed| needed.who.as_str());
        }
        let is_it =
            |text: &str| name.strip_suffix(text).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        self.texts.iter().find(|(text, _)| is_it(text)).map(|(_, who)| who.as_str())
    }

    /// Who needs this image, under whichever name.
    pub(super) fn of_image(&self, image: &Image) -> Option<&str> {
        let of_name = || image.names.iter().find_map(|name| self.of_name(name, Some(image)));
        let of_manifest = || self.manifests.iter().find(|(digest, _)| image.is_of(digest));
        let is_id = |text: &str| image.id.starts_with(text.strip_prefix("sha256:").unwrap_or(text));
        let of_id = || self.texts.iter().find(|(text, _)| is_id(text)).map(|(_, who)| who.as_str());
        of_name().or_else(|| of_manifest().map(|(_, who)| who.as_str())).or_else(of_id)
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
        needs.add_bound(&RootDir::open(scratch.path()).unwrap(), "it").unwrap();
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
        for bound in ["x", "sha256:x"] {
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
}
