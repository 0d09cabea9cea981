//! The reporter of notes and progress. The command line implements it on stderr; the other crates never write to a terminal.

/// Reports notes and progress to the user.
pub trait Reporter {
    /// A note, for example about a long wait or an unexpected situation.
    fn note(&self, message: &str);

    /// The next step of a long operation.
    fn progress(&self, message: &str);

    /// The progress of that step, in bytes. `total` is an estimate, which `done` may exceed.
    fn advance(&self, done: u64, total: u64);
}

/// Test doubles, for this crate and others.
#[cfg(any(test, feature = "doubles"))]
pub mod doubles {
    use std::cell::RefCell;

    use super::Reporter;

    /// Discards everything.
    pub struct Silent;

    impl Reporter for Silent {
        fn note(&self, _: &str) {}
        fn progress(&self, _: &str) {}
        fn advance(&self, _: u64, _: u64) {}
    }

    /// Keeps the notes.
    #[derive(Default)]
    pub struct Heard(pub RefCell<Vec<String>>);

    impl Reporter for Heard {
        fn note(&self, message: &str) {
            self.0.borrow_mut().push(message.to_owned());
        }
        fn progress(&self, _: &str) {}
        fn advance(&self, _: u64, _: u64) {}
    }
}
