//! Panics of the host while it runs a plugin.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sanitize::sanitize;

/// Runs `work` and returns the sanitized message of its panic, if it panics. `AssertUnwindSafe` is correct here because state that
/// `work` left half-changed is never used again: the store of the component is dropped, and the runtime is not changed by a run.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let message =
            panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        sanitize(message.unwrap_or("panic without a message"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_host_is_caught_with_its_message() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("literal")), Err::<(), _>("literal".to_owned()));
        assert_eq!(caught(|| panic!("{}\u{1b}", "formatted")), Err::<(), _>("formatted\u{fffd}".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(1)), Err::<(), _>("panic without a message".to_owned()));
    }
}
