#!/bin/bash
# Builds the programs whose checks tests switch off, bootc-image-with and bootc-image-native-with in target/mutants, from a copy of
# the sources to which tests/mutants/switches.diff is applied (docs/adr/0018-switches-of-tests.md). In the directory of the profile
# `dev`, so that what isn't ours is compiled once for this and the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
export MUTANTS=$target/mutants
cargo run --quiet --locked -p bootc-image-tests --bin mutants "$MUTANTS"
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/mutants-rustc cargo build --locked -p bootc-image-with -p bootc-image-native

# Another build may put programs without switches in their place.
put() {
    cmp -s "$target/debug/$1" "$MUTANTS/$2" && return
    cp "$target/debug/$1" "$MUTANTS/$2.new"
    mv "$MUTANTS/$2.new" "$MUTANTS/$2"
}
put bootc-image-with bootc-image-with
put bootc-image-native bootc-image-native-with
