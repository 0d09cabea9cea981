#!/bin/bash
# Builds the program whose checks tests switch off, target/mutants/bootc-image-with, from a copy of the sources to which
# tests/mutants/switches.diff is applied (docs/adr/0017-switches-of-tests.md). In the directory of the profile `dev`, so that
# what isn't ours is compiled once for this and the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
export MUTANTS=$target/mutants
cargo run --quiet --locked -p bootc-image-tests --bin mutants "$MUTANTS"
RUSTC_WORKSPACE_WRAPPER=$PWD/xtask/mutants-rustc cargo build --locked -p bootc-image-with
# Another build may put a program without switches in its place.
cmp -s "$target/debug/bootc-image-with" "$MUTANTS/bootc-image-with" && exit
cp "$target/debug/bootc-image-with" "$MUTANTS/bootc-image-with.new"
mv "$MUTANTS/bootc-image-with.new" "$MUTANTS/bootc-image-with"
