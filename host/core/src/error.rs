//! Everything that can go wrong, with what to do next.

use std::io;
use std::path::PathBuf;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_grammar::Refusal;
use bootc_image_model::denial::{By, Denial, Kind};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::InvalidReference;
use bootc_image_os::children::check_not_asked_to_end;
use bootc_image_os::error::{Error as OsError, with_causes};
use bootc_image_stores::error::Error as StoresError;

use crate::advice::Advice;
use crate::plugin::{PlanError, PluginSetError};

/// Why an operation didn't run or didn't succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The current directory was removed, and a file is named from there.
    #[error("the current directory no longer exists")]
    NoDirectory,
    /// What a name means couldn't be found out.
    #[error("cannot resolve {name} in its registry")]
    LookUp {
        /// Which name.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The caller isn't root.
    #[error("Permission denied: this command must be executed as the root user")]
    NeedsRoot,
    /// As [`StoresError::NotBooted`] and [`StoresError::Container`], for a listing.
    #[error("Listing images: Listing host images requires a booted bootc system")]
    ListNotBooted,
    /// The booted deployment has a commit of its own on top of its image.
    #[error("the booted deployment is not an image: it has packages layered on top of the image {image}")]
    Layered {
        /// The image below, as its origin names it.
        image: String,
    },
    /// Nobody said what.
    #[error("no image was given")]
    NothingNamed,
    /// A plugin wanted something done where nothing is to run.
    #[error("a dry run copies no images")]
    DryRun,
    /// An archive of one image was asked for, and several were named.
    #[error("{0} name more than one image, but this archive format holds only one")]
    SeveralImages(String),
    /// A directory was to be written to a stream.
    #[error("the format {format} creates a directory, which cannot be written to standard output")]
    DirectoryToStdout {
        /// As it was asked for.
        format: String,
    },
    /// Nobody has the image that is to be fetched anew.
    #[error(
        "no source to repair {image} from: podman's storage has no intact copy, no host image in the ostree repository corresponds to it, and none of its names is in a registry"
    )]
    NoSource {
        /// Its name, or its id.
        image: String,
    },
    /// The record can't be written, so nothing ran.
    #[error("nothing was run because the audit record cannot be written")]
    Audit(#[source] Box<Error>),
    /// It ran, but how it ended couldn't be recorded.
    #[error("the operation ran, but its outcome cannot be written to the audit record")]
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
    /// A plugin that is no policy was to be mandatory.
    #[error("plugin {0} is not a policy, and only a policy can be mandatory")]
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

/// Of a command that was parsed before, and has other values now that names were looked up.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(Denial {
            by: By::Host("grammar"),
            code: "name-not-usable".to_owned(),
            message: format!("the resolved name cannot be passed to podman: {refusal}"),
            hint: Some("rename the file, directory or image".to_owned()),
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

impl From<InvalidReference> for Error {
    fn from(error: InvalidReference) -> Self {
        Self::Stores(error.into())
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

    /// Its kind, which the command line maps to an exit code.
    pub fn kind(&self) -> Kind {
        Advice::of(self).kind
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
        Advice::of(self).hint()
    }
}

/// The error of a process that was asked to end is that: what else went wrong may have come of it, and blames somebody else. What is
/// wrong with the record is told in any case.
pub fn interruption_first(error: Error) -> Error {
    match check_not_asked_to_end() {
        Err(interrupted) if !matches!(error, Error::Audit(_) | Error::AuditOutcome(_)) => {
            if error.interrupted_by().is_none() {
                tracing::info!(error = error.with_causes(), "the operation failed after a signal had asked it to stop");
            }
            interrupted.into()
        }
        _ => error,
    }
}
