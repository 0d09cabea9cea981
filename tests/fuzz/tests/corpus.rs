//! Replays the inputs that are kept: seeds, what the fuzzer found worth keeping, and what once failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootc_image_fuzz::TARGETS;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// What somebody named is a file, what libFuzzer named by its digest is in an archive, see `scripts/fuzz.sh`.
const ARCHIVE: &str = "found.tar.gz";

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn whatever_is_kept_holds() {
    for target in TARGETS {
        let (mut inputs, found) = (files(&corpus().join(target.name)), tempfile::tempdir().unwrap());
        if let Some(at) = inputs.iter().position(|path| path.ends_with(ARCHIVE)) {
            let archive = inputs.swap_remove(at);
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--gzip", "--file"]).arg(archive).arg("--directory").arg(found.path());
            assert!(tar.status().unwrap().success(), "{tar:?}");
            let extracted = files(found.path());
            assert!(extracted.len() >= 100, "{}: {}", target.name, extracted.len());
            inputs.extend(extracted);
        }
        for path in &inputs {
            let input = fs::read(path).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(outcome.is_ok(), "{}", path.display());
        }
        assert!(inputs.len() >= 10, "{}: {}", target.name, inputs.len());
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
