//! The errors of operations.

use std::io;
use std::path::PathBuf;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_grammar::ParseError;
use bootc_image_model::denial::{Denial, DeniedBy, Kind};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::InvalidReference;
use bootc_image_os::error::{Error as OsError, with_causes};
use bootc_image_os::processes::check_interrupted;
use bootc_image_stores::error::Error as StoresError;

use crate::advice::Advice;
use crate::plugin::{PlanError, PluginSetError};

/// Why an operation did not run or did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The current directory was removed, and a relative path needs it.
    #[error("the current directory no longer exists")]
    NoDirectory,
    /// A name cannot be resolved.
    #[error("cannot resolve {name} in its registry")]
    Unresolved {
        /// As typed.
        name: String,
        #[source]
        source: Box<Error>,
    },
    /// An image would not be fetched.
    #[error("{image} would not be fetched: rejected by policy.json: {why}")]
    RejectedBySignaturePolicy {
        /// Its name.
        image: String,
        /// The scope that applies, or why nothing is fetched.
        why: String,
    },
    /// A process failed that ran for an operation. Its own error names neither the operation nor the image.
    #[error("cannot complete {operation}: {failure}")]
    Incomplete {
        /// The operation, and its first image.
        operation: String,
        /// The error of the process.
        failure: Box<Error>,
    },
    /// The caller is not root.
    #[error("Permission denied: this command must be executed as the root user")]
    NeedsRoot,
    /// As [`StoresError::NotBooted`] and [`StoresError::Container`], for a listing.
    #[error("Listing images: Listing host images requires a booted bootc system")]
    ListNotBooted,
    /// The booted deployment has a commit of its own, made from its image and layered packages.
    #[error("the booted deployment is not an image: it has packages layered on top of the image {image}")]
    Layered {
        /// The base image, as named in the deployment's origin file.
        image: String,
    },
    /// The request has no image.
    #[error("no image was given")]
    NoImageGiven,
    /// A plugin requested a copy in a dry run.
    #[error("a dry run copies no images")]
    DryRun,
    /// Several images were named for an archive that holds one image.
    #[error("{0} are different images, but this archive format holds only one")]
    SeveralImages(String),
    /// A format that writes a directory was requested for standard output.
    #[error("the format {format} creates a directory, which cannot be written to standard output")]
    DirectoryToStdout {
        /// As typed.
        format: String,
    },
    /// No source has the image that is to be repaired.
    #[error(
        "no source to repair {image} from: podman's storage has no intact copy, the ostree repository has no \
         matching host image, and none of its names is in a registry"
    )]
    NoSource {
        /// Its name, or its id.
        image: String,
    },
    /// The audit record cannot be written, so nothing ran.
    #[error("nothing was run because the audit record cannot be written")]
    Audit(#[source] Box<Error>),
    /// The operation ran, but its outcome is not recorded.
    #[error("the operation ran, but its outcome cannot be written to the audit record")]
    AuditOutcome(#[source] Box<Error>),
    /// The configuration is not valid.
    #[error("{why}")]
    Configuration {
        why: String,
        /// What to do, if that is not clear from the file's name.
        fix: Option<String>,
    },
    /// No plugin has this id.
    #[error("there is no plugin {name:?}")]
    NoSuchPlugin {
        /// As typed.
        name: String,
        /// Suggests a similar name, or where plugins are searched.
        hint: String,
    },
    /// `--mandatory` was given for a plugin that is not a policy.
    #[error("plugin {0} is not a policy, and only a policy can be mandatory")]
    NotAPolicy(PluginId),
    /// A problem with one plugin.
    #[error("plugin {plugin}: {reason}")]
    Plugin {
        /// Its id.
        plugin: String,
        /// What is wrong.
        reason: String,
        /// What to do next.
        fix: String,
    },
    #[error(transparent)]
    Plugins(#[from] PluginSetError),
    #[error(transparent)]
    Plan(PlanError),
    #[error(transparent)]
    Os(#[from] OsError),
    #[error(transparent)]
    Storage(StorageError),
    #[error(transparent)]
    Stores(StoresError),
}

/// Raised when resolved values are put into a command that has been parsed: some values that exist cannot be arguments.
impl From<ParseError> for Error {
    fn from(refusal: ParseError) -> Self {
        Self::Denied(Denial {
            denied_by: DeniedBy::Host("grammar"),
            code: "name-not-usable".to_owned(),
            message: format!("the full name of a file, directory or image cannot be passed to podman: {refusal}"),
            hint: Some(
                "rename the file, directory or image, without commas, quotation marks, equals signs and control characters"
                    .to_owned(),
            ),
        })
    }
}

/// Flattens, so that an error of a lower layer has one representation whichever layer returned it.
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

    /// For `map_err` on the result of a system call.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let failed = OsError::io(what, path);
        move |source| Self::Os(failed(source))
    }

    /// The kind determines the exit code.
    pub fn kind(&self) -> Kind {
        Advice::of(self).kind
    }

    /// The number of the signal that interrupted the operation, if that is the reason.
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

/// Replaces an error by [`OsError::Interrupted`] if a signal asked this process to stop: the error may be a consequence, and would
/// blame something else. Errors of the audit record are kept.
pub fn interruption_first(error: Error) -> Error {
    match check_interrupted() {
        Err(interrupted) if !matches!(error, Error::Audit(_) | Error::AuditOutcome(_)) => {
            if error.interrupted_by().is_none() {
                tracing::info!(
                    error = error.with_causes(),
                    "the operation failed after a signal had asked it to stop"
                );
            }
            interrupted.into()
        }
        _ => error,
    }
}
