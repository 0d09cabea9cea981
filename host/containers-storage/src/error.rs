//! Errors of a containers-storage.

use std::io;
use std::path::PathBuf;

use bootc_image_os::error::Error as OsError;

/// Why a containers-storage cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the operating system.
    #[error(transparent)]
    Os(#[from] OsError),
    /// The driver is not supported.
    #[error("{path} uses the storage driver {driver}, which bootc-image cannot read")]
    UnknownDriver {
        /// The store.
        path: PathBuf,
        /// Its driver.
        driver: String,
    },
    /// More than one driver has stored images, and the configuration does not name one.
    #[error(
        "{path} has images of more than one storage driver, and storage.conf does not name the one that podman uses"
    )]
    SeveralDrivers {
        /// The store.
        path: PathBuf,
    },
    /// An image with another id was fetched.
    #[error("the fetched image is not the requested one ({id})")]
    OtherImage {
        /// The requested id.
        id: String,
    },
}

impl Error {
    /// For `map_err` on a system call.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let failed = OsError::io(what, path);
        move |source| Self::Os(failed(source))
    }
}
