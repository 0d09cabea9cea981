//! Telling whether this host has an image: for scripts, which read an exit code.

use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER};
use bootc_image_model::view::{Image, Name, Role};
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::local::host_refs;
use bootc_image_stores::images::names::{as_named_here, id_digits, in_contents, meanings};
use bootc_image_stores::images::storages::Storage;
use bootc_image_stores::sysroot;
use serde::Serialize;

use super::seen::Seen;
use super::{Ask, ForPlugins, Operate, Operation, Report, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;

/// Transports of the tools that make host images.
const TRANSPORTS: &[&str] =
    &["containers-storage", "dir", "docker", "docker-archive", "docker-daemon", "oci", "oci-archive"];

/// Tells whether this host has an image, in the ostree repository or in bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exists {
    /// Its name, as listed or without its transport, or its id, as typed.
    pub image: String,
}

/// Whether an image exists.
#[derive(Debug)]
pub enum Existence {
    /// It is there.
    There,
    /// It isn't there.
    NotThere,
    /// It isn't where could be looked, and somewhere else nobody could look.
    Unknown(Error),
}

impl Exists {
    fn is_id(&self) -> bool {
        id_digits(&self.image).is_some()
    }

    /// Whether it begins with a transport.
    fn has_transport(&self) -> bool {
        self.image.split_once(':').is_some_and(|(word, rest)| TRANSPORTS.contains(&word) && !rest.is_empty())
    }

    /// What can't be a name is a mistake, and no image that isn't there.
    fn operation(&self) -> Result<Operation, Error> {
        if !self.is_id() {
            let meant = meanings(as_named_here(&self.image));
            // Of another transport it means something, too.
            if let Err(error) = meant
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
        // What is in one of the two is there, whatever is wrong with the other.
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
                // A short id or a short name that means several images means one.
                Ok(_) | Err(StoresError::Ambiguous { .. }) => Ok(true),
                // Of another transport, or of none: it is no name there.
                Err(StoresError::ImageNotFound { .. } | StoresError::Reference(_)) => Ok(false),
                Err(error) => Err(error),
            }
        });
        Ok(is_there?)
    }
}

impl Ask for Exists {
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

    /// An image for everything that the text can mean: a name of a registry, of a storage, of another transport, an id.
    fn seen(&self, _: bool) -> Option<Seen> {
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
        Some(Seen::images(names.into_iter().map(image).collect()))
    }

    /// A plugin that may list images sees which there are.
    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Never
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        Ok(Report::Existence(match self.look(context) {
            Ok(true) => Existence::There,
            Ok(false) => Existence::NotThere,
            Err(error) if error.interrupted_by().is_some() => return Err(error),
            Err(error) => Existence::Unknown(error),
        }))
    }
}
