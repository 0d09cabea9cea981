//! What must stay in bootc's storage: the images of deployments, and those that are bound to them. If that can't be told in
//! full, nothing is removed.

use std::collections::BTreeMap;

use super::running_root;
use crate::digest::Digest;
use crate::error::Error;
use crate::operation::HostImage;
use crate::pipeline::local::host_image;
use crate::pipeline::set_unified::name_in_storage;
use crate::reference::Reference;
use crate::settings::Settings;
use crate::storage::bound::bound_images;
use crate::storage::containers::Image;
use crate::storage::root::RootDir;
use crate::storage::sysroot;

/// Who needs what.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// By name, as a storage has it.
    names: BTreeMap<String, String>,
    /// By manifest.
    manifests: BTreeMap<Digest, String>,
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
        for deployment in sysroot::all(physical)? {
            let who = format!("deployment {}", deployment.short_name());
            let root =
                physical.open_root(&deployment.path).map_err(physical.error("open", &deployment.path))?;
            needs.add_bound(&root, &who)?;
            match deployment.image(physical) {
                Ok(name) => needs.add_host(host_image(physical, name, deployment.commit)?, &who),
                Err(Error::NotFromImage(_)) => {}
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
            if let Ok(reference) = Reference::parse_local(&name) {
                self.add_name(&reference, &who);
            }
            // However odd it is.
            self.names.entry(name).or_insert(who);
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
        self.names.get(name).map(String::as_str)
    }

    /// Who needs this image, under whichever name.
    pub(super) fn of_image(&self, image: &Image) -> Option<&str> {
        let of_name = || image.names.iter().find_map(|name| self.of_name(name));
        let of_manifest = || self.manifests.iter().find(|(digest, _)| image.is_of(digest));
        of_name().or_else(|| of_manifest().map(|(_, who)| who.as_str()))
    }
}
