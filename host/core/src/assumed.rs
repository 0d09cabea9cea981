//! Resolves names to values that a test assumes. A site tests its policies with this, where there is neither a bootc host nor a
//! registry.

use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{CopySource, HostImage, LocalImage, UnifiedImage};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::subject::Subject;
use bootc_image_stores::images::names::first_meaning;

use crate::error::Error;

/// The assumed values.
#[derive(Debug, Clone)]
pub struct Assumed {
    /// The caller.
    pub subject: Subject,
    /// The digest that every name resolves to.
    pub digest: Digest,
    /// The commit of every host image.
    pub commit: Commit,
    /// The name of the booted image, with its transport.
    pub booted: String,
}

impl Assumed {
    /// A name with a transport resolves in that transport. One without is a host image, because those are searched first.
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
