//! Checks that a test can switch off, to show that the check is what holds: a test whose attack still fails without the
//! check proves nothing. There is no switch unless the feature `weakened` is on, and a release build refuses that.

#[cfg(all(feature = "weakened", not(debug_assertions)))]
compile_error!("the feature `weakened` is for tests: a release has no switch for its checks");

/// Names the check that is off, in the environment of a test.
#[cfg(feature = "weakened")]
pub const VARIABLE: &str = "BOOTC_IMAGE_WITHOUT";

/// Whether the check of this name is off.
#[cfg(feature = "weakened")]
pub fn is_off(check: &str) -> bool {
    std::env::var_os(VARIABLE).is_some_and(|name| name == check)
}

/// Whether the check of this name is off: never.
#[cfg(not(feature = "weakened"))]
pub const fn is_off(_check: &str) -> bool {
    false
}
