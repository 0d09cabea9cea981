//! Everything that can go wrong, with what to do next.

use std::io;
use std::path::{Path, PathBuf};

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_model::denial::{By, Denial, Kind};
use bootc_image_os::children::check_not_asked_to_end;
use bootc_image_os::error::{Error as OsError, with_causes};
use bootc_image_stores::error::Error as StoresError;

use bootc_image_grammar::Refusal;

use crate::plugin::{PlanError, PluginSetError};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::InvalidReference;
use bootc_image_os::room::{has_no_inodes, is_full, mount_point};

/// Why an operation didn't run or didn't succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The current directory was removed, and a file is named from there.
    #[error("the current directory isn't there any more")]
    NoDirectory,
    /// An image that is pushed by its id has no name to be pushed to.
    #[error("{0} has no name in a registry, so the push needs a destination")]
    NoDestination(String),
    /// What a name means couldn't be found out.
    #[error("can't look up {name} in its registry")]
    LookUp {
        /// Which name.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// An image name that can't be one.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The caller isn't root.
    #[error("Permission denied: this command must be executed as the root user")]
    NeedsRoot,
    /// Inside a container.
    #[error("Detected container; this command requires a booted host system.")]
    Container,
    /// Not started from a deployment.
    #[error("System not booted via bootc")]
    NotBooted,
    /// As [`Error::NotBooted`] and [`Error::Container`], for a listing.
    #[error("Listing images: Listing host images requires a booted bootc system")]
    ListNotBooted,
    /// The deployment wasn't made from a container image.
    #[error("deployment {0} isn't from a container image")]
    NotFromImage(String),
    /// The booted deployment has a commit of its own on top of its image.
    #[error(
        "the booted deployment has layered packages on top of the image {image}, so it isn't an image itself"
    )]
    Layered {
        /// The image below, as its origin names it.
        image: String,
    },
    /// The booted image's name is of no registry and of no storage.
    #[error("{0} can't be kept in a container storage: its name is of another transport")]
    NoName(String),
    /// A composefs host has no ostree repository.
    #[error("host images of a composefs system can't be read yet")]
    Composefs,
    /// No image of that name.
    #[error("Source image not found: {name}")]
    ImageNotFound {
        /// As asked for.
        name: String,
        /// A command that lists what there is.
        list_with: &'static str,
    },
    /// Nobody said what.
    #[error("no image is named")]
    NothingNamed,
    /// A plugin wanted something done where nothing is to run.
    #[error("nothing is copied in a dry run")]
    DryRun,
    /// An archive of one image was asked for, and several were named.
    #[error("{0} are several images")]
    SeveralImages(String),
    /// A directory was to be written to a stream.
    #[error("an image in the format {format} is a directory, which can't be written to standard output")]
    DirectoryToStdout {
        /// As it was asked for.
        format: String,
    },
    /// It can't be told what must stay.
    #[error("nothing was removed: the images that this host needs can't be determined")]
    NeedsUnknown(#[source] Box<Error>),
    /// The name fits several images.
    #[error("{name} is ambiguous: it means {}", candidates.join(" or "))]
    Ambiguous {
        /// As asked for.
        name: String,
        /// The full names that it could mean.
        candidates: Vec<String>,
    },
    /// Not even something that is there can be removed.
    #[error("nothing can be removed from {}: its file system is full", path.display())]
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
    /// Nobody has the image that is to be fetched anew.
    #[error(
        "nothing to repair {image} from: podman's storage has no whole copy, the ostree repository has no host image that it was made from, and none of its names is in a registry"
    )]
    NoSource {
        /// Its name, or its id.
        image: String,
    },
    /// The record can't be written, so nothing ran.
    #[error("nothing was run: the audit record can't be written")]
    Audit(#[source] Box<Error>),
    /// It ran, but how it ended couldn't be recorded.
    #[error("it ran, but its outcome can't be written to the audit record")]
    AuditOutcome(#[source] Box<Error>),
    /// The administrator's configuration can't be used.
    #[error("{0}")]
    Configuration(String),
    /// No plugin has this id.
    #[error("there is no plugin {name:?}")]
    NoSuchPlugin {
        /// As typed.
        name: String,
        /// A plugin with a similar name, or where plugins are looked for.
        hint: String,
    },
    /// A plugin that is no policy was to be missed.
    #[error("plugin {0} is no policy, and only a policy can be mandatory")]
    NotAPolicy(PluginId),
    /// Something about one plugin isn't as it must be.
    #[error("plugin {plugin}: {reason}")]
    Plugin {
        /// Which one.
        plugin: String,
        /// What is wrong.
        reason: String,
        /// What to do next.
        fix: String,
    },
    /// The set of plugins can't be used.
    #[error(transparent)]
    Plugins(#[from] PluginSetError),
    /// A plugin gave no plan.
    #[error(transparent)]
    Plan(PlanError),
    /// The operating system's.
    #[error(transparent)]
    Os(#[from] OsError),
    /// Of a containers-storage.
    #[error(transparent)]
    Storage(StorageError),
    /// Of the places where images are kept.
    #[error(transparent)]
    Stores(StoresError),
}

/// What to do on a file system that is full.
pub(crate) fn make_room_on(path: &Path) -> String {
    let mount = mount_point(path);
    let files = if has_no_inodes(&mount) { " (it has no inodes left: remove files)" } else { "" };
    format!(
        "free room on the file system at {}{files}, e.g. with: bootc-image prune --all; or: journalctl --vacuum-size=100M",
        mount.display()
    )
}

/// Of a command that was parsed before, and has other values now that names were looked up.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(Denial {
            by: By::Host("grammar"),
            code: "name-not-usable".to_owned(),
            message: format!("what was found can't be named to podman: {refusal}"),
            hint: Some("rename it".to_owned()),
        })
    }
}

/// An error of a lower layer is one, whichever way it came.
impl From<StoresError> for Error {
    fn from(error: StoresError) -> Self {
        match error {
            StoresError::Os(error) => Self::Os(error),
            StoresError::Storage(error) => Self::Storage(error),
            other => Self::Stores(other),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        StoresError::from(error).into()
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

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied(_) | Self::Plan(PlanError::Denied { .. }) => Kind::Denied,
            Self::Reference(_)
            | Self::NoDestination(_)
            | Self::NothingNamed
            | Self::SeveralImages(_)
            | Self::DirectoryToStdout { .. } => Kind::Usage,
            Self::Plan(PlanError::Failed { code, .. }) if code == "usage" => Kind::Usage,
            Self::Os(OsError::MissingProgram { .. }) => Kind::MissingProgram,
            Self::LookUp { source, .. } => source.kind(),
            Self::Os(OsError::Interrupted { signal }) => Kind::Interrupted(*signal),
            Self::NoSuchPlugin { .. } | Self::NotAPolicy(_) => Kind::Usage,
            Self::Audit(_)
            | Self::AuditOutcome(_)
            | Self::Configuration(_)
            | Self::Plugin { .. }
            | Self::Plugins(_)
            | Self::Plan(PlanError::Unusable { .. }) => Kind::Unusable,
            _ => Kind::Failed,
        }
    }

    /// The number of the signal that asked us to end, if that is why.
    pub fn interrupted_by(&self) -> Option<i32> {
        match self.kind() {
            Kind::Interrupted(signal) => Some(signal),
            _ => None,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Denied(denial) => return denial.hint.clone(),
            Self::Plan(PlanError::Denied { hint, .. } | PlanError::Failed { hint, .. }) => {
                return hint.clone();
            }
            Self::NoSuchPlugin { hint, .. } | Self::Plugin { fix: hint, .. } => return Some(hint.clone()),
            Self::ImageNotFound { list_with, .. } => {
                return Some(format!("see what there is with: {list_with}"));
            }
            Self::Os(OsError::Corrupt { hint, .. }) => hint,
            Self::Os(OsError::MissingProgram { package, .. }) => return Some(format!("install the package {package}")),
            Self::Os(OsError::Io { source, path, .. }) if is_full(source) => return Some(make_room_on(path)),
            Self::Full { path, .. } | Self::Stores(StoresError::NoRoom { path, .. }) => return Some(make_room_on(path)),
            Self::Audit(source) | Self::AuditOutcome(source) if matches!(&**source, Self::Os(OsError::Io { source, .. }) if is_full(source)) =>
            {
                return source.hint();
            }
            Self::Os(OsError::Io { source, .. }) | Self::Stores(StoresError::StorageUnavailable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run it as root, e.g. with sudo"
            }
            Self::Reference(InvalidReference::ShortName(_)) => "write the full name: REGISTRY/REPOSITORY",
            Self::Reference(InvalidReference::Digest(_)) => "write it with a tag: REGISTRY/REPOSITORY:TAG",
            Self::Reference(_) => {
                "an image is written REGISTRY/REPOSITORY[:TAG] or REGISTRY/REPOSITORY@sha256:DIGEST"
            }
            Self::Os(OsError::NotUtf8(_)) => "rename it",
            Self::NoDirectory => "change to another directory",
            Self::NoDestination(_) => {
                "write where to as well: bootc-image cmd push ID REGISTRY/REPOSITORY:TAG"
            }
            Self::NeedsRoot => "run it with sudo",
            Self::Container => "run it on the host itself",
            Self::NotBooted => "run it on a bootc host, or name a system's root with --sysroot DIR",
            Self::ListNotBooted => {
                "list what this root names with --type logical, or name a system with --sysroot DIR"
            }
            Self::Stores(StoresError::NoDeployment(_)) => "is this the physical root of a bootc host? It has ostree/deploy",
            Self::Stores(StoresError::NoBootEntries { .. }) => {
                "if /boot of that system is a partition of its own, mount it at DIR/boot"
            }
            Self::NotFromImage(_) => "rebase the host to an image with: bootc switch",
            Self::Layered { image } => {
                return Some(format!(
                    "copy the image below it with: bootc-image copy-to-storage --source {image}"
                ));
            }
            Self::NoName(_) => "switch the host to an image in a registry with: bootc switch",
            Self::Composefs => {
                "images of bootc's storage can be listed and copied: bootc-image list --type unified"
            }
            Self::Stores(StoresError::StorageUnavailable { .. }) => "on a bootc host, any pull creates it; see: bootc status",
            Self::Ambiguous { .. } => "write one of the full names",
            Self::Storage(StorageError::SeveralDrivers { .. }) => {
                "write the driver into /etc/containers/storage.conf: [storage] driver = \"overlay\""
            }
            Self::Storage(StorageError::UnknownDriver { .. }) => "ask podman instead: bootc-image cmd list",
            Self::Os(OsError::Locked { .. }) => "see who holds it with: fuser -v FILE; then try again",
            Self::Stores(StoresError::BoundImage { .. }) => {
                "bound images are links to .image or .container files; fix it in the OS image"
            }
            Self::Stores(StoresError::Unit { .. }) => "write the image's name in the unit, or in a file that it names by its path",
            Self::Os(OsError::UnsafeProgram(_)) => "give it and the directories above it to root, writable by root alone",
            Self::Stores(StoresError::OtherStore { .. }) => "see which configuration podman uses with: podman system info",
            Self::Os(OsError::ReadOnlyDevice(_)) => "nothing can be kept on this system; name another with --sysroot DIR",
            Self::Os(OsError::Verification { .. }) | Self::Storage(StorageError::OtherImage { .. }) => {
                "try again; if it happens again, another process changes this storage"
            }
            Self::Damaged { hint, .. } => return Some(hint.clone()),
            Self::NoSource { image } => {
                return Some(format!(
                    "load it from an archive with: bootc-image cmd load; or build or pull it with podman, then: \
                     bootc-image pull-from-default-storage {image}"
                ));
            }
            Self::Stores(StoresError::SelinuxCreate) => "let bootc create it, e.g. with: bootc image set-unified",
            Self::Audit(_) | Self::AuditOutcome(_) => {
                "make /var/lib/bootc-image/audit writable for root, and see that the disk isn't full"
            }
            Self::Configuration(_) => {
                "until the configuration is corrected nothing runs but list, and what looks at plugins"
            }
            Self::NotAPolicy(_) => "approve it without --mandatory",
            Self::Plan(PlanError::Unusable { .. }) | Self::Plugins(_) => {
                "nothing runs through a plugin that can't be used; see: bootc-image plugin doctor"
            }
            Self::Os(OsError::Interrupted { .. }) => "run the same command again; what it left half done does no harm",
            Self::DryRun => "run it without --dry-run",
            Self::DirectoryToStdout { .. } => {
                "write the directory's name: --output DIR; to a pipe an archive can be written: --format oci-archive"
            }
            Self::SeveralImages(_) => "several images need: --multi-image-archive",
            Self::NothingNamed => "write its name or id; see what there is with: bootc-image list",
            Self::LookUp { source, .. } | Self::NeedsUnknown(source) => return source.hint(),
            Self::Os(OsError::Child { stderr, .. }) if stderr.contains("no space left on device") => {
                "see which file system is full with: df -h; free room there, e.g. with: bootc-image prune --all"
            }
            Self::Os(OsError::Child { .. } | OsError::Io { .. })
            // They have a variant of their own here.
            | Self::Storage(StorageError::Os(_))
            | Self::Stores(StoresError::Os(_) | StoresError::Storage(_)) => return None,
        };
        Some(text.to_owned())
    }
}

/// The error of a process that was asked to end is that: what else went wrong may have come of it, and blames somebody else. What is
/// wrong with the record is told in any case.
pub fn interruption_first(error: Error) -> Error {
    match check_not_asked_to_end() {
        Err(interrupted) if !matches!(error, Error::Audit(_) | Error::AuditOutcome(_)) => {
            if error.interrupted_by().is_none() {
                tracing::info!(error = error.with_causes(), "failed after being asked to end");
            }
            interrupted.into()
        }
        _ => error,
    }
}
