//! What the core says while it works. The command line shows it on stderr; the core never touches a terminal.

/// Where messages for the person at the terminal go.
pub trait Talk {
    /// Something that takes its time, or went differently than expected.
    fn note(&self, message: &str);

    /// The next step of something long.
    fn progress(&self, message: &str);

    /// How far that step is, in bytes: of an estimate that may be exceeded.
    fn advance(&self, done: u64, total: u64);
}
