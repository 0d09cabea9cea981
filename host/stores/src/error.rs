//! What can go wrong where images are kept.

use std::io;
use std::path::PathBuf;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_os::error::{Error as OsError, size, with_causes};

/// Why images can't be read, written or fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system's.
    #[error(transparent)]
    Os(#[from] OsError),
    /// Of a containers-storage.
    #[error(transparent)]
    Storage(StorageError),
    /// There are deployments, but which one counts can't be told.
    #[error("no deployment found in {0}")]
    NoDeployment(PathBuf),
    /// There are deployments, and nothing that says which one would be started.
    #[error(
        "cannot determine which of {deployments} deployments would be started: there are no boot entries in {path}"
    )]
    NoBootEntries {
        /// Where they should be.
        path: PathBuf,
        /// How many deployments there are.
        deployments: usize,
    },
    /// bootc's containers-storage isn't there or can't be opened.
    #[error("Bootc storage not available: {path}")]
    StorageUnavailable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the bound images breaks bootc's rules.
    #[error("bound image {file}: {why}")]
    BoundImage {
        /// Its name in the directory.
        file: String,
        /// bootc's words for it.
        why: String,
    },
    /// It can't be determined which image a unit starts.
    #[error("unit {unit}: {why}", unit = unit.display())]
    Unit {
        /// Which one.
        unit: PathBuf,
        /// Why.
        why: String,
    },
    /// There is too little room for what is about to be written.
    #[error("{path} has too little room: {need} are needed, {available} are free", need = size(*need), available = size(*available))]
    NoRoom {
        /// Something on the file system.
        path: PathBuf,
        /// What is needed, in bytes.
        need: u64,
        /// What is free, in bytes.
        available: u64,
    },
    /// podman has its storage somewhere else.
    #[error("podman has its images in {podman}, but its configuration says {configured}", podman = podman.display(), configured = configured.display())]
    OtherStore {
        /// Where podman says it has them.
        podman: PathBuf,
        /// What the configuration says.
        configured: PathBuf,
    },
    /// A store would have to be made where labels matter.
    #[error(
        "bootc's container storage doesn't exist yet, and SELinux is enabled: bootc must create and label it"
    )]
    SelinuxCreate,
}

/// An error of the operating system is one, whichever way it came.
impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Os(error) => Self::Os(error),
            other => Self::Storage(other),
        }
    }
}

impl Error {
    /// As [`with_causes`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// For `map_err` on a system call.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let failed = OsError::io(what, path);
        move |source| Self::Os(failed(source))
    }
}
