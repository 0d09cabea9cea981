//! The systems that use bootc's storage and podman's: the one that runs, and every deployment that may run after it.

use bootc_image_model::settings::Settings;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::sysroot;
use crate::system::System;

/// All of them; without the running one if the operation is about another physical root.
///
/// # Errors
/// The system's.
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
