//! A fixed sample of what `make faults` does at every index: a system call of an operation fails, or a process is killed
//! there. Afterwards every image is whole, nothing is mounted, and the same command succeeds.

use bootc_image_tests::faults::injector::{CLASSES, FAULTS};
use bootc_image_tests::faults::sweep::{DAMAGED, Interrupted, OPERATIONS};

/// Which calls of each class are hit, each by another fault: the first one where there are fewer.
const SAMPLE: [usize; 3] = [0, 7, 41];

fn sample(name: &str) {
    sample_at(name, &SAMPLE);
}

fn sample_at(name: &str, calls: &[usize]) {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).unwrap();
    for (row, class) in CLASSES.into_iter().enumerate() {
        for (column, fault) in FAULTS.into_iter().enumerate() {
            let hit = |call| operation.run(class, call, fault).hit.is_some();
            let call = calls[(row + column) % calls.len()];
            assert!(hit(call) || hit(calls[0]), "{name}: {} was never hit", class.name);
        }
    }
}

#[test]
fn a_copy_survives() {
    sample("copy");
}

#[test]
fn a_pull_survives() {
    sample("pull");
}

#[test]
fn the_creation_of_a_store_survives() {
    sample("creation");
}

#[test]
fn set_unified_survives() {
    sample("set-unified");
}

#[test]
fn a_prune_survives() {
    sample("prune");
}

#[test]
fn a_repair_survives() {
    sample_at("repair", &[1, 23]);
}

/// What a run without a fault panics with.
fn complaint(operation: Interrupted) -> Option<String> {
    let (class, fault) = (CLASSES[0], FAULTS[0]);
    let run = std::panic::catch_unwind(move || operation.run(class, usize::MAX, fault));
    run.err().map(|panic| *panic.downcast::<String>().unwrap())
}

/// The check itself: on a damaged image it fails.
#[test]
fn a_damaged_image_would_be_noticed() {
    let pull = OPERATIONS.iter().find(|operation| operation.name == "pull").unwrap();
    assert_eq!(complaint(*pull), None);
    assert!(complaint(DAMAGED).unwrap().contains("integrity checksum failed"));
}

#[test]
fn a_missing_effect_would_be_noticed() {
    for operation in OPERATIONS {
        let complaint = complaint(operation.idle()).unwrap_or_default();
        assert!(complaint.contains("a success without its effect"), "{}: {complaint}", operation.name);
    }
}
