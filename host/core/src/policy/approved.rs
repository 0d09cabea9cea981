//! Proof that something was judged.

/// Proof that every validator allowed exactly this value. Only judging makes one.
#[derive(Debug)]
pub struct Approved<T> {
    value: T,
}

impl<T> Approved<T> {
    /// What was judged, and allowed by all.
    pub(super) fn new(value: T) -> Self {
        Self { value }
    }

    /// The value, to be run.
    pub(crate) fn into_inner(self) -> T {
        self.value
    }
}
