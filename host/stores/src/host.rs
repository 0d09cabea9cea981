//! The host on whose images an operation works.

use std::path::Path;

use bootc_image_model::settings::{Place, Settings};
use bootc_image_os::mounts::make_writable;
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::export::Exporter;

/// The physical root of a booted host.
const SYSROOT: &str = "/sysroot";

/// The context of an operation on a host's images.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The settings of this run.
    pub settings: &'a Settings,
    /// The reporter.
    pub reporter: &'a dyn Reporter,
}

impl Host<'_> {
    /// The exporter of commits.
    pub(crate) fn exporter(self) -> Exporter {
        Exporter { directories: self.settings.programs.clone() }
    }
}

/// The physical root on which an operation works.
pub fn physical(settings: &Settings) -> Result<RootDir, Error> {
    let path = match (&settings.sysroot, settings.place) {
        (Some(path), _) => path.as_str(),
        (None, Place::Booted) => SYSROOT,
        (None, Place::NotBooted) => return Err(Error::NotBooted),
        (None, Place::Container) => return Err(Error::Container),
    };
    RootDir::open(path).map_err(Error::io("open", path))
}

/// As [`physical`], for operations that write to bootc's storage.
pub fn writable_physical(settings: &Settings) -> Result<RootDir, Error> {
    if settings.sysroot.is_none() && settings.place == Place::Booted {
        make_writable(Path::new(SYSROOT))?;
    }
    physical(settings)
}

/// The root of the running operating system.
pub fn running_root() -> Result<RootDir, Error> {
    RootDir::open("/").map_err(Error::io("open", "/"))
}

/// What unit tests use in place of the host.
#[cfg(test)]
pub mod doubles {
    use std::time::Duration;

    use bootc_image_model::configuration::Configuration;
    use bootc_image_model::subject::Subject;

    use super::*;

    /// The settings for a physical root that is not the host's.
    pub fn settings(physical: &Path) -> Settings {
        Settings {
            place: Place::NotBooted,
            sysroot: Some(physical.display().to_string()),
            subject: Subject::new(Some(0), None),
            root: true,
            configuration: Configuration::default(),
            lock_limit: Duration::from_secs(60),
            change_limit: Duration::from_secs(60),
            programs: Vec::new(),
            state: physical.join("state"),
            directory: None,
            proxies: Vec::new(),
            dry_run: false,
        }
    }

    /// Makes the only deployment of a physical root, whose commit was not made from an image. Returns its commit and its directory.
    pub fn deploy(physical: &Path) -> (String, std::path::PathBuf) {
        let commit = "a".repeat(64);
        let deployment = physical.join(format!("ostree/deploy/os/deploy/{commit}.0"));
        std::fs::create_dir_all(&deployment).unwrap();
        std::fs::create_dir_all(physical.join("ostree/deploy/os/var")).unwrap();
        std::fs::create_dir_all(physical.join("ostree/repo/objects/aa")).unwrap();
        std::fs::write(deployment.with_extension("0.origin"), "").unwrap();
        std::fs::write(physical.join(format!("ostree/repo/objects/aa/{}.commit", &commit[2..])), "").unwrap();
        (commit, deployment)
    }
}
