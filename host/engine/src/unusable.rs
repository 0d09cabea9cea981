//! Why a plugin's code cannot be used.

/// What happened. `plugin doctor` chooses the fix by the variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It imports a function that needs a capability which its manifest does not request.
    #[error("{0}")]
    NotAskedFor(String),
    /// The process of native code cannot be started.
    #[error("cannot start its process: {0}")]
    NoProcess(String),
    /// The host panicked; this is the panic's message.
    #[error("internal error of bootc-image while running it: {0}")]
    Panicked(String),
    /// Any other reason.
    #[error("{0}")]
    Other(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}
