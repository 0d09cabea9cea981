//! Why a plugin's code can't be used.

/// What happened, for a person; what they can do about it depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It imports what needs a capability that its manifest doesn't ask for.
    #[error("{0}")]
    NotAskedFor(String),
    /// The process of native code can't be started.
    #[error("cannot start its process: {0}")]
    NoProcess(String),
    /// It is the host's fault; these are the words of a panic.
    #[error("internal error of bootc-image while running it: {0}")]
    Panicked(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}
