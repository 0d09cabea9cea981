//! Testing whether this host has an image, for scripts: the result is an exit code.

use bootc_image_model::policy_input::{Image, Name, Role};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER};
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::local::host_refs;
use bootc_image_stores::images::names::{as_named_here, id_digits, in_contents, meanings};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::sysroot;
use serde::Serialize;

use super::seen::PolicyInputParts;
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Transports that names of host images can have.
const TRANSPORTS: &[&str] =
    &["containers-storage", "dir", "docker", "docker-archive", "docker-daemon", "oci", "oci-archive"];

/// Tests whether this host has an image, in the ostree repository or in bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exists {
    /// As typed: its name, with or without transport, or its id.
    pub image: String,
}

/// Whether an image exists.
#[derive(Debug)]
pub enum Existence {
    There,
    Absent,
    /// It was not found, but one of the places could not be read.
    Unknown(Error),
}

impl Exists {
    fn is_id(&self) -> bool {
        id_digits(&self.image).is_some()
    }

    /// Whether the text begins with a transport.
    fn has_transport(&self) -> bool {
        self.image.split_once(':').is_some_and(|(word, rest)| TRANSPORTS.contains(&word) && !rest.is_empty())
    }

    /// An invalid name is an error, not an image that does not exist.
    fn operation(&self) -> Result<Operation, Error> {
        if !self.is_id() {
            let equivalent = meanings(as_named_here(&self.image));
            // It may be the name of a host image with another transport.
            if let Err(error) = equivalent
                && !self.has_transport()
            {
                return Err(error.into());
            }
        }
        Ok(Operation::Exists(self.clone()))
    }

    fn look(&self, context: &Context<'_>) -> Result<bool, Error> {
        let physical = physical(context.host.settings)?;
        let of_host = self.of_host(&physical);
        // The image exists if one of the places has it, whatever is wrong with the other.
        if matches!(of_host, Ok(true)) || self.in_store(context, &physical)? { Ok(true) } else { of_host }
    }

    fn of_host(&self, physical: &RootDir) -> Result<bool, Error> {
        if sysroot::is_composefs(physical)? {
            return Err(StoresError::Composefs.into());
        }
        match host_refs(physical, &self.image)? {
            (found, _) if !found.is_empty() => Ok(true),
            (_, problems) => problems.into_iter().next().map_or(Ok(false), |problem| Err(problem.into())),
        }
    }

    fn in_store(&self, context: &Context<'_>, physical: &RootDir) -> Result<bool, Error> {
        let Some(store) = BootcStore::open(physical)? else { return Ok(false) };
        let is_there = Storage::Bootc(&store).images(context.host, |images, _| {
            match in_contents(images, &self.image) {
                // An ambiguous id or name matches at least one image.
                Ok(_) | Err(StoresError::Ambiguous { .. }) => Ok(true),
                // Not a valid name in a storage.
                Err(StoresError::ImageNotFound { .. } | StoresError::Reference(_)) => Ok(false),
                Err(error) => Err(error),
            }
        });
        Ok(is_there?)
    }
}

impl Resolve for Exists {
    fn acts(&self) -> bool {
        false
    }

    fn resolve(&self, _: &Context<'_>) -> Result<Resolved, Error> {
        Ok(self.operation()?.into())
    }

    fn assume(&self, _: &Assumed) -> Result<Vec<Operation>, Error> {
        Ok(vec![self.operation()?])
    }
}

impl Operate for Exists {
    const KIND: &'static str = "exists";

    /// One image for each possible meaning of the text: a name in a registry, in a storage, in another transport, or an id.
    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        let bare = as_named_here(&self.image);
        let of_store = meanings(bare).unwrap_or_default().into_iter().flat_map(|name| {
            let of_registry = name.registry() != "localhost" && !self.image.starts_with(CONTAINERS_STORAGE);
            let stored = Name::new(CONTAINERS_STORAGE, &name);
            of_registry.then(|| Name::new(DOCKER, &name)).into_iter().chain([stored])
        });
        let of_host = Name::of_host(&self.image)
            .filter(|_| self.has_transport() && !self.image.starts_with(CONTAINERS_STORAGE));
        let mut names: Vec<Option<Name>> = Vec::new();
        for name in of_store.chain(of_host).map(Some).chain(self.is_id().then_some(None)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let image = |name| Image { role: Role::Image, name, digest: None, attrs: Vec::new() };
        Some(PolicyInputParts::images(names.into_iter().map(image).collect()))
    }

    /// Not needed: a plugin with the capability to list images sees which ones exist.
    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        Ok(Report::Existence(match self.look(context) {
            Ok(true) => Existence::There,
            Ok(false) => Existence::Absent,
            Err(error) if error.interrupted_by().is_some() => return Err(error),
            Err(error) => Existence::Unknown(error),
        }))
    }
}
