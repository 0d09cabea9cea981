//! What can go wrong with a containers-storage.

use std::io;
use std::path::PathBuf;

use bootc_image_os::error::Error as OsError;

/// Why a containers-storage can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system's.
    #[error(transparent)]
    Os(#[from] OsError),
    /// A containers-storage whose layout this program doesn't read.
    #[error("{path} uses the storage driver {driver}, which bootc-image cannot read")]
    UnknownDriver {
        /// The store.
        path: PathBuf,
        /// Its driver.
        driver: String,
    },
    /// A containers-storage in which several drivers have kept something, and nobody says which one counts.
    #[error(
        "{path} has images of more than one storage driver, and storage.conf does not name the one that podman uses"
    )]
    SeveralDrivers {
        /// The store.
        path: PathBuf,
    },
    /// Where an image was asked for by its id, there is another one.
    #[error("the fetched image is not the requested one ({id})")]
    OtherImage {
        /// The id.
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
