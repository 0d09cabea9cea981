//! Operations as they would be if names meant what a test says they mean. For a site's own tests of its policies, which run
//! where there is neither a bootc host nor a registry.

use bootc_image_grammar::{Command, Kind};

use super::Pipeline;
use super::cmd::{Meaning, Names, Stored};
use super::copy::target_name;
use super::local::meanings;
use super::set_unified::name_in_storage;
use crate::error::Error;
use crate::operation::{DEFAULT_TARGET, Operation, Request};
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{
    CopySource, HostImage, LocalImage, Removal, RepairSource, StoredImage, UnifiedImage, UnifiedSource,
};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::subject::Subject;
use bootc_image_stores::registry::Asked;

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
    /// The operations that a request becomes; none of `cmd`, which its plugin must plan first.
    pub(super) fn operations(&self, request: &Request) -> Result<Vec<Operation>, Error> {
        Ok(match request {
            Request::List { image_type, details } => {
                vec![Operation::List { image_type: *image_type, details: *details }]
            }
            Request::CopyToStorage { source, target } => {
                let target = target_name(target.as_deref().unwrap_or(DEFAULT_TARGET))?;
                vec![Operation::CopyToStorage { source: self.source(source.as_deref())?, target }]
            }
            Request::PullFromDefaultStorage { images } => {
                let pull = |image: &String| {
                    let name = first_meaning(image)?;
                    Ok(Operation::PullFromDefaultStorage { source: self.local(), name })
                };
                images.iter().map(pull).collect::<Result<_, Error>>()?
            }
            Request::SetUnified => {
                let image = self.host(&self.booted);
                let name = name_in_storage(&image.name)?;
                let from = if image.name.starts_with(DOCKER) {
                    UnifiedSource::Registry { reference: name.with_digest(self.digest.clone()) }
                } else {
                    UnifiedSource::Host
                };
                vec![Operation::SetUnified { image, from, name }]
            }
            Request::Remove { images } => {
                let remove = |image: &String| Ok(Operation::Remove { image: self.removal(image)? });
                images.iter().map(remove).collect::<Result<_, Error>>()?
            }
            Request::Repair { images, all: false } => {
                let repair = |image: &String| {
                    let Stored { name, image: LocalImage { id, manifest_digest }, .. } =
                        self.in_store(image)?;
                    let names = name.iter().map(Reference::to_string).collect();
                    let manifest_digest = Some(manifest_digest);
                    let image = StoredImage { id, manifest_digest, names };
                    Ok(Operation::Repair { from: self.repair_source(name), image })
                };
                images.iter().map(repair).collect::<Result<_, Error>>()?
            }
            // Of what there would be nothing is known.
            Request::Repair { all: true, .. } => {
                let LocalImage { id, manifest_digest } = self.local();
                let image = StoredImage { id, manifest_digest: Some(manifest_digest), names: Vec::new() };
                vec![Operation::Repair { image, from: RepairSource::DefaultStore(self.local()) }]
            }
            Request::Prune { all } => {
                let LocalImage { id, manifest_digest } = self.local();
                let names = Vec::new();
                let image = Removal {
                    id,
                    manifest_digest: Some(manifest_digest),
                    names,
                    whole: true,
                    needed_by: None,
                };
                vec![Operation::Prune { all: *all, image }]
            }
            Request::Cmd { .. } | Request::ApprovePlugin { .. } | Request::RevokePlugin { .. } => Vec::new(),
        })
    }

    fn removal(&self, image: &str) -> Result<Removal, Error> {
        let Stored { name, image: LocalImage { id, manifest_digest }, .. } = self.in_store(image)?;
        let names = name.into_iter().map(|name| name.to_string()).collect();
        Ok(Removal { id, manifest_digest: Some(manifest_digest), names, whole: true, needed_by: None })
    }

    /// From its registry, as if podman's storage hadn't got it; what is of no registry that must have.
    fn repair_source(&self, name: Option<Reference>) -> RepairSource {
        match name.and_then(|name| name.in_registry().ok()) {
            Some(name) => RepairSource::Registry { references: vec![name.with_digest(self.digest.clone())] },
            None => RepairSource::DefaultStore(self.local()),
        }
    }

    /// A name with a transport is of that; one without is a host image, as it would be looked up first.
    fn source(&self, name: Option<&str>) -> Result<CopySource, Error> {
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

    fn host(&self, name: &str) -> HostImage {
        HostImage { name: name.to_owned(), commit: self.commit.clone(), manifest_digest: self.digest.clone() }
    }

    fn local(&self) -> LocalImage {
        LocalImage { id: self.digest.hex().to_owned(), manifest_digest: self.digest.clone() }
    }
}

fn first_meaning(name: &str) -> Result<Reference, Error> {
    meanings(name)?.into_iter().next().ok_or_else(|| Error::NoDestination(name.to_owned()))
}

impl Names for Assumed {
    fn in_registry(&self, name: &Reference, _: &Asked) -> Result<Meaning, Error> {
        let digest = name.digest().unwrap_or(&self.digest).clone();
        Ok(Meaning { instance: digest.clone(), digest })
    }

    fn in_store(&self, text: &str) -> Result<Stored, Error> {
        let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let name = if is_id { None } else { Some(first_meaning(text)?) };
        Ok(Stored { name, names: Vec::new(), image: self.local() })
    }

    fn as_stored(&self, _: &LocalImage, name: &str) -> Result<String, Error> {
        Ok(name.to_owned())
    }

    fn source(&self, _: &Command, text: &str) -> Result<String, Error> {
        Ok(text.to_owned())
    }

    fn path(&self, _: &PluginId, text: &str, _: Kind) -> Result<String, Error> {
        Ok(text.to_owned())
    }

    fn here(&self) -> Option<&Pipeline<'_>> {
        None
    }

    fn needed_by(&self, _: &Reference) -> Result<Option<String>, Error> {
        Ok(None)
    }

    fn native(&self, request: &Request) -> Result<Vec<Operation>, Error> {
        self.operations(request)
    }
}
