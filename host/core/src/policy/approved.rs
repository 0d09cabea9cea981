//! The proof that a value was judged.

/// Proof that every validator allowed exactly this value. Only [`super::Judged::approve`] creates one.
#[derive(Debug)]
pub struct Approved<T> {
    value: T,
}

impl<T> Approved<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value
    }
}
