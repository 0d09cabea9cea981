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

/// Doubles for tests, of this crate and of others.
#[cfg(any(test, feature = "doubles"))]
pub mod doubles {
    use std::cell::RefCell;

    use super::Talk;

    /// Nobody listens.
    pub struct Silent;

    impl Talk for Silent {
        fn note(&self, _: &str) {}
        fn progress(&self, _: &str) {}
        fn advance(&self, _: u64, _: u64) {}
    }

    /// Keeps the notes.
    #[derive(Default)]
    pub struct Heard(pub RefCell<Vec<String>>);

    impl Talk for Heard {
        fn note(&self, message: &str) {
            self.0.borrow_mut().push(message.to_owned());
        }
        fn progress(&self, _: &str) {}
        fn advance(&self, _: u64, _: u64) {}
    }
}
