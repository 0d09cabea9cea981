//! A sample of generated hosts; `make hosts` prunes a thousand.

use bootc_image_tests::hosts;

#[test]
fn nothing_that_a_generated_host_needs_is_removed() {
    let counts = hosts::run(0..12);
    assert!(counts.needed > 0 && counts.removed > 0 && counts.refused < counts.hosts, "{counts:?}");
    if hosts::have_quadlet() {
        assert!(counts.needed >= counts.hosts / 2, "{counts:?}");
    }
}
