#!/bin/bash
# Lints, with warnings as errors: the whole workspace in one run, with all that is optional, as features don't matter to what is
# only checked; then what is there without them; then what runs in a sandbox only, for the machine that it is built for.
# `scripts/lint.sh --untested` lints only what `scripts/test.sh` doesn't lint with LINT=1.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/features.sh

lint() {
    cargo clippy --quiet --locked "$@" -- -D warnings
}
if [[ ${1:-} != --untested ]]; then
    # Guests of tests are for the sandbox alone, and linted there.
    not_here=()
    for manifest in tests/guests/*/Cargo.toml; do
        not_here+=(--exclude "$(basename "$(dirname "$manifest")")")
    done
    lint --workspace "${not_here[@]}" --all-targets \
        --features bootc-image-tests/bootc-image-test-guests,bootc-image-fuzz/libfuzzer
    # Without what compiles plugins to machine code.
    lint -p bootc-image-plugin-builder --no-default-features --lib --examples
fi

guests=()
for manifest in plugins/*/Cargo.toml tests/guests/*/Cargo.toml; do
    guests+=(-p "$(basename "$(dirname "$manifest")")")
done
lint --target wasm32-unknown-unknown "${guests[@]}"
