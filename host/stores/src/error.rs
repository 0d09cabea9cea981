//! Errors of storages and of the ostree repository.

use std::io;
use std::path::PathBuf;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_model::reference::InvalidReference;
use bootc_image_os::error::{Error as OsError, size, with_causes};

/// Why images cannot be read, written or fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the operating system.
    #[error(transparent)]
    Os(#[from] OsError),
    /// An error of a containers-storage.
    #[error(transparent)]
    Storage(StorageError),
    /// There is no deployment, or the booted one cannot be determined.
    #[error("no deployment found in {0}")]
    NoDeployment(PathBuf),
    /// There are several deployments, but no boot entries.
    #[error(
        "cannot determine which of {deployments} deployments would be started: there are no boot entries in {path}"
    )]
    NoBootEntries {
        /// Where they should be.
        path: PathBuf,
        /// How many deployments there are.
        deployments: usize,
    },
    /// bootc's storage does not exist or cannot be opened.
    #[error("Bootc storage not available: {path}")]
    StorageUnavailable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A bound image's file is invalid by bootc's rules.
    #[error("bound image {file}: {why}")]
    BoundImage {
        /// Its name in the directory.
        file: String,
        /// bootc's message for it.
        why: String,
    },
    /// The images that a unit starts cannot be determined.
    #[error("unit {unit}: {why}", unit = unit.display())]
    Unit {
        /// Which one.
        unit: PathBuf,
        /// Why.
        why: String,
    },
    /// There is not enough free space for what is about to be written.
    #[error("not enough free space in {path}: {need} needed, {available} free", need = size(*need), available = size(*available))]
    NoRoom {
        /// A path on the file system.
        path: PathBuf,
        /// What is needed, in bytes.
        need: u64,
        /// What is free, in bytes.
        available: u64,
    },
    /// podman's storage is not where its configuration says.
    #[error(
        "podman keeps its images in {podman}, but its configuration names {configured}",
        podman = podman.display(),
        configured = configured.display()
    )]
    OtherStore {
        /// The directory that podman reports.
        podman: PathBuf,
        /// The configured directory.
        configured: PathBuf,
    },
    /// bootc's storage would have to be created with SELinux labels, which only bootc does.
    #[error("bootc's storage does not exist yet, and SELinux is enabled: bootc must create and label it")]
    SelinuxCreate,
    /// The host did not boot a deployment.
    #[error("System not booted via bootc")]
    NotBooted,
    /// We run in a container.
    #[error("Detected container; this command requires a booted host system.")]
    Container,
    /// The deployment was not made from a container image.
    #[error("deployment {0} was not made from a container image")]
    NotFromImage(String),
    /// The booted image's name has a transport other than docker:// and containers-storage:.
    #[error(
        "cannot copy the image {0} of this host to another storage: only docker:// and containers-storage: images can be copied"
    )]
    NoName(String),
    /// A composefs host has no ostree repository.
    #[error("reading the images of a composefs host is not supported yet")]
    Composefs,
    /// There is no image with that name or id.
    #[error("Source image not found: {name}")]
    ImageNotFound {
        /// The requested name.
        name: String,
        /// What to do next.
        hint: &'static str,
    },
    /// The name matches several images.
    #[error("{name} is ambiguous: it could be {}", candidates.join(" or "))]
    Ambiguous {
        /// The requested name.
        name: String,
        /// The full names or ids that match.
        candidates: Vec<String>,
    },
    /// The images that must be kept cannot be determined.
    #[error("nothing was removed: the images that this host needs cannot be determined")]
    NeedsUnknown(#[source] Box<Error>),
    /// Nothing can be removed because the file system is full.
    #[error("cannot remove anything from {}: its file system is full", path.display())]
    Full {
        /// A path on the file system.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// A part of an image is missing or damaged.
    #[error("image {image} is damaged: {what}")]
    Damaged {
        /// Its name, or its id.
        image: String,
        /// The damaged part, and in which layer.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// A copy on this host would get a name for which `policy.json` requires signatures, and they could not be verified.
    #[error(
        "the copy would get the name {name}, for which {file} has requirements (docker, scope {scope:?}): {why}",
        file = file.display()
    )]
    Unsigned {
        /// The name.
        name: String,
        /// The file.
        file: PathBuf,
        /// Its scope that includes the name; empty for all registries.
        scope: String,
        /// Which requirement is not satisfied.
        why: String,
        /// Whether an image with valid signatures can be fetched under this name.
        is_fetched: bool,
    },
    /// An image would get a name for which `policy.json` has requirements that do not apply when it is fetched.
    #[error(transparent)]
    NotDemandedOfFetch(Box<NotDemanded>),
    /// A manifest list has no image for this host, or several.
    #[error("{name} is a manifest list without exactly one image for this host ({architecture}): {}", instances.join(", "))]
    ManifestList {
        /// Its name.
        name: String,
        /// This host's architecture.
        architecture: &'static str,
        /// Its images in words.
        instances: Vec<String>,
        /// The command that names one of them.
        tag_with: &'static str,
    },
    /// An image is pushed by its id without a destination, and has no name in a registry.
    #[error("no destination to push {0} to: the image has no registry name")]
    NoDestination(String),
    /// An invalid image reference.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

/// Keeps an error of the operating system the same variant, wherever it occurred.
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

/// The requirements that do not apply when an image is fetched.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} demands {requirements} of {name} (scope {scope}), but the image is fetched by its {}, to which this scope does not apply",
    if *by_digest { "digest" } else { "tag" },
    file = file.display()
)]
pub struct NotDemanded {
    /// The name that the image would get.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Its scope for the name.
    pub scope: String,
    /// The types of the requirements in this scope.
    pub requirements: String,
    /// Whether the image is fetched by its digest, and not by its tag.
    pub by_digest: bool,
    /// The repository of both.
    pub repository: String,
}
