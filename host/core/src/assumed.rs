//! Operations as they would be if names meant what a test says they mean. For a site's own tests of its policies, which run
//! where there is neither a bootc host nor a registry.

use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{CopySource, HostImage, LocalImage, UnifiedImage};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::subject::Subject;
use bootc_image_stores::images::names::first_meaning;

use crate::error::Error;

/// What is taken for granted.
#[derive(Debug, Clone)]
pub struct Assumed {
    /// Who asks.
    pub subject: Subject,
    /// What every name means.
    pub digest: Digest,
    /// Which commit every host image is.
    pub commit: Commit,
    /// The name of the booted image, with its transport.
    pub booted: String,
}

impl Assumed {
    /// A name with a transport is of that; one without is a host image, as it would be looked up first.
    pub(crate) fn source(&self, name: Option<&str>) -> Result<CopySource, Error> {
        let Some(name) = name else { return Ok(CopySource::Host(self.host(&self.booted))) };
        if let Some(stored) = name.strip_prefix(CONTAINERS_STORAGE) {
            let name = first_meaning(stored)?;
            return Ok(CopySource::Unified(UnifiedImage { name, image: self.local() }));
        }
        Ok(CopySource::Host(match Reference::parse(name) {
            Ok(reference) => self.host(&format!("{DOCKER}{reference}")),
            Err(_) => self.host(name),
        }))
    }

    pub(crate) fn host(&self, name: &str) -> HostImage {
        HostImage { name: name.to_owned(), commit: self.commit.clone(), manifest_digest: self.digest.clone() }
    }

    pub(crate) fn local(&self) -> LocalImage {
        LocalImage { id: self.digest.hex().to_owned(), manifest_digest: self.digest.clone() }
    }
}
