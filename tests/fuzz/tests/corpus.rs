//! Replays the inputs that are kept: seeds, what the fuzzer found worth keeping, and what once failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bootc_image_fuzz::TARGETS;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

#[test]
fn whatever_is_kept_holds() {
    for target in TARGETS {
        let mut replayed = 0;
        for entry in fs::read_dir(corpus().join(target.name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(outcome.is_ok(), "{}", path.display());
            replayed += 1;
        }
        assert!(replayed >= 10, "{}: {replayed}", target.name);
    }
}

#[test]
fn there_are_no_inputs_of_nothing() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let kept: BTreeSet<_> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, names);
}
