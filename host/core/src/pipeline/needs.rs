//! What must stay in bootc's storage: the images of deployments, and those that are bound to them. If that can't be told in
//! full, nothing is removed.

use std::collections::BTreeMap;

use super::running_root;
use crate::digest::Digest;
use crate::error::Error;
use crate::operation::HostImage;
use crate::pipeline::local::{SHORT_ID, as_named_here, host_image};
use crate::pipeline::set_unified::name_in_storage;
use crate::reference::{InvalidReference, Reference};
use crate::settings::Settings;
use crate::storage::bound::bound_images;
use crate::storage::containers::Image;
use crate::storage::ostree::Repository;
use crate::storage::root::RootDir;
use crate::storage::sysroot;

/// Who needs what.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// By name, as a storage has it.
    names: BTreeMap<String, String>,
    /// By manifest.
    manifests: BTreeMap<Digest, String>,
    /// By a name without its registry, which whoever starts it will find out, or by the beginning of an id.
    short: Vec<(String, String)>,
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
        for name in names {
            let who = format!("{who}, to which it is bound");
            let plain = as_named_here(&name);
            match Reference::parse(plain) {
                Ok(reference) => self.add_name(&reference.with_default_tag(), &who),
                Err(InvalidReference::ShortName(_)) => {
                    let local = Reference::parse_local(plain)?.with_default_tag().to_string();
                    let short = local.strip_prefix("localhost/").unwrap_or(&local);
                    self.short.push((short.to_owned(), who.clone()));
                    self.short.push((plain.to_owned(), who));
                }
                // It may be a name all the same, to whoever starts it.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn add_host(&mut self, image: HostImage, who: &str) {
        let who = format!("{who}, which was made from it");
        if let Ok(name) = name_in_storage(&image) {
            self.add_name(&name, &who);
        }
        self.manifests.entry(image.manifest_digest).or_insert(who);
    }

    fn add_name(&mut self, name: &Reference, who: &str) {
        if let Some(digest) = name.digest() {
            self.manifests.entry(digest.clone()).or_insert_with(|| who.to_owned());
        }
        self.names.entry(name.to_string()).or_insert_with(|| who.to_owned());
    }

    /// Who needs that a storage has this name.
    pub(super) fn of_name(&self, name: &str) -> Option<&str> {
        let is_short = |(short, _): &&(String, String)| {
            name == short || name.strip_suffix(short.as_str()).is_some_and(|rest| rest.ends_with('/'))
        };
        let short = || self.short.iter().find(is_short).map(|(_, who)| who.as_str());
        self.names.get(name).map(String::as_str).or_else(short)
    }

    /// Who needs this image, under whichever name.
    pub(super) fn of_image(&self, image: &Image) -> Option<&str> {
        let of_name = || image.names.iter().find_map(|name| self.of_name(name));
        let of_manifest = || self.manifests.iter().find(|(digest, _)| image.is_of(digest));
        let is_id = |text: &str| text.len() >= SHORT_ID && image.id.starts_with(text);
        let of_id = || self.short.iter().find(|(short, _)| is_id(short)).map(|(_, who)| who.as_str());
        of_name().or_else(|| of_manifest().map(|(_, who)| who.as_str())).or_else(of_id)
    }
}
