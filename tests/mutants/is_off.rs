
/// Whether a test has switched off the check of this name.
fn is_off(check: &str) -> bool {
    std::env::var_os("BOOTC_IMAGE_WITHOUT").is_some_and(|name| name == check)
}
