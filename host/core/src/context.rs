//! What operations may use of the world. Nobody gets from here back into the pipeline.

use std::path::Path;

use bootc_image_model::settings::{Place, Settings};
use bootc_image_os::mounts::make_writable;
use bootc_image_os::root::RootDir;
use bootc_image_os::talk::Talk;
use bootc_image_stores::export::Exporter;

use crate::error::Error;
use crate::plugin::Plugins;

/// The physical root of a booted system.
const SYSROOT: &str = "/sysroot";

/// Everything that operations need of the world.
pub struct Context<'a> {
    /// What the outside says.
    pub settings: &'a Settings,
    /// Who plans commands and judges.
    pub plugins: &'a dyn Plugins,
    /// Who hears what is going on.
    pub talk: &'a dyn Talk,
}

impl Context<'_> {
    /// Who writes OCI directories.
    pub(crate) fn exporter(&self) -> Exporter {
        Exporter { directories: self.settings.programs.clone() }
    }
}

/// The physical root that an operation is about.
pub(crate) fn physical(settings: &Settings) -> Result<RootDir, Error> {
    let path = match (&settings.sysroot, settings.place) {
        (Some(path), _) => path.as_str(),
        (None, Place::Booted) => SYSROOT,
        (None, Place::NotBooted) => return Err(Error::NotBooted),
        (None, Place::Container) => return Err(Error::Container),
    };
    RootDir::open(path).map_err(Error::io("open", path))
}

/// As [`physical`], for operations that write to bootc's storage in it.
pub(crate) fn writable_physical(settings: &Settings) -> Result<RootDir, Error> {
    if settings.sysroot.is_none() && settings.place == Place::Booted {
        make_writable(Path::new(SYSROOT))?;
    }
    physical(settings)
}

/// The running system's own root.
pub(crate) fn running_root() -> Result<RootDir, Error> {
    RootDir::open("/").map_err(Error::io("open", "/"))
}
