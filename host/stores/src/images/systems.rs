//! The operating systems that use bootc's and podman's storage: the running one, and every deployment.

use bootc_image_model::settings::Settings;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::sysroot;
use crate::system::System;

/// All of them, without the running one if the operation works on another physical root.
///
/// # Errors
/// Any I/O error.
pub(super) fn systems(physical: &RootDir, settings: &Settings) -> Result<Vec<System>, Error> {
    let mut systems = Vec::new();
    if settings.sysroot.is_none() {
        systems.push(System::running()?);
    }
    for deployment in sysroot::all(physical)? {
        systems.extend(System::of_deployment(physical, &deployment)?);
    }
    Ok(systems)
}
