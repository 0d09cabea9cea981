//! A sample of generated policies and operations; `make operations` tries a thousand.

use bootc_image_test_guests as guests;
use bootc_image_tests::operations;

/// Each kind of operation is among them.
#[test]
fn what_a_policy_is_shown_is_what_becomes_of_it() {
    let seeds: Vec<u64> = (0..15).collect();
    let counts = operations::run(&seeds, &guests::files("policy-does").unwrap());
    assert_eq!(counts.failed, 0, "{counts}");
    assert!(counts.allowed() > 0 && counts.denied() > 0 && counts.shown > 0, "{counts}");
}
