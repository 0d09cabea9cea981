//! Telling whether this host has an image: for scripts, which read an exit code.

use bootc_image_model::digest::is_hex;
use bootc_image_model::view::{Image, Name, Role};
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::podman;
use bootc_image_stores::sysroot;
use serde::Serialize;

use super::seen::Seen;
use super::{Ask, ForPlugins, Operate, Operation, Report, Resolved};
use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::local::host_refs;
use bootc_image_stores::images::names::{SHORT_ID, as_named_here, in_contents, meanings};

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
    fn digits(&self) -> &str {
        self.image.strip_prefix("sha256:").unwrap_or(&self.image)
    }

    fn is_id(&self) -> bool {
        self.digits().len() >= SHORT_ID && is_hex(self.digits(), self.digits().len())
    }

    /// What can't be a name is a mistake, and no image that isn't there.
    fn operation(&self) -> Result<Operation, Error> {
        if !self.is_id() {
            let meant = meanings(as_named_here(&self.image));
            // Of another transport it means something, too.
            if let Err(error) = meant
                && Name::of_host(&self.image).is_none()
            {
                return Err(error.into());
            }
        }
        Ok(Operation::Exists(self.clone()))
    }

    fn look(&self, context: &Context<'_>) -> Result<bool, Error> {
        let physical = physical(context.host.settings)?;
        if !host_refs(&physical, &self.image)?.is_empty() {
            return Ok(true);
        }
        if let Some(store) = BootcStore::open(&physical)? {
            let contents = podman::open_store(store.root())?;
            let images = contents.images(context.host.settings.lock_limit, context.host.talk)?;
            match in_contents(&images, &self.image) {
                // A short id or a short name that means several images means one.
                Ok(_) | Err(StoresError::Ambiguous { .. }) => return Ok(true),
                // Of another transport, or of none: it is no name there.
                Err(StoresError::ImageNotFound { .. } | StoresError::Reference(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // It may be there, where host images can't be read.
        if sysroot::is_composefs(&physical)? { Err(StoresError::Composefs.into()) } else { Ok(false) }
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

    fn seen(&self, _: bool) -> Option<Seen> {
        let name = match meanings(as_named_here(&self.image)) {
            _ if self.is_id() => None,
            Ok(_) => Some(Name::in_storage(as_named_here(&self.image))),
            Err(_) => Name::of_host(&self.image),
        };
        Some(Seen::images(vec![Image { role: Role::Image, name, digest: None, attrs: Vec::new() }]))
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
