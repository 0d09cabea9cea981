//! What can go wrong where images are kept.

use std::io;
use std::path::PathBuf;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_model::reference::InvalidReference;
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
    #[error("not enough free space in {path}: {need} needed, {available} free", need = size(*need), available = size(*available))]
    NoRoom {
        /// Something on the file system.
        path: PathBuf,
        /// What is needed, in bytes.
        need: u64,
        /// What is free, in bytes.
        available: u64,
    },
    /// podman has its storage somewhere else.
    #[error("podman keeps its images in {podman}, but its configuration names {configured}", podman = podman.display(), configured = configured.display())]
    OtherStore {
        /// Where podman says it has them.
        podman: PathBuf,
        /// What the configuration says.
        configured: PathBuf,
    },
    /// A store would have to be made where labels matter.
    #[error(
        "bootc's storage does not exist yet, and SELinux is enabled: bootc must create and label it"
    )]
    SelinuxCreate,
    /// Not started from a deployment.
    #[error("System not booted via bootc")]
    NotBooted,
    /// Inside a container.
    #[error("Detected container; this command requires a booted host system.")]
    Container,
    /// The deployment wasn't made from a container image.
    #[error("deployment {0} was not made from a container image")]
    NotFromImage(String),
    /// The booted image's name is of no registry and of no storage.
    #[error("cannot keep {0} in a containers-storage: only docker:// and containers-storage: names can be kept there")]
    NoName(String),
    /// A composefs host has no ostree repository.
    #[error("reading the images of a composefs host is not supported yet")]
    Composefs,
    /// No image of that name.
    #[error("Source image not found: {name}")]
    ImageNotFound {
        /// As asked for.
        name: String,
        /// A command that lists what there is.
        list_with: &'static str,
    },
    /// The name fits several images.
    #[error("{name} is ambiguous: it could be {}", candidates.join(" or "))]
    Ambiguous {
        /// As asked for.
        name: String,
        /// The full names that it could mean.
        candidates: Vec<String>,
    },
    /// It can't be told what must stay.
    #[error("nothing was removed: the images that this host needs cannot be determined")]
    NeedsUnknown(#[source] Box<Error>),
    /// Not even something that is there can be removed.
    #[error("cannot remove anything from {}: its file system is full", path.display())]
    Full {
        /// Something on the file system.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// Something of an image is missing, or isn't what it should be.
    #[error("image {image} is damaged: {what}")]
    Damaged {
        /// Its name, or its id.
        image: String,
        /// What is wrong, and with which layer.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// An image that is pushed by its id has no name to be pushed to.
    #[error("no destination to push {0} to: the image has no registry name")]
    NoDestination(String),
    /// An image name that can't be one.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
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
