#!/bin/bash
# Lints, with warnings as errors. What is left out of the workspace's default members is linted on its own, so that
# features don't unify; what runs in a sandbox only, for the machine that it is built for.
set -euo pipefail
cd "$(dirname "$0")/.."

lint() {
    cargo clippy --quiet --locked "$@" -- -D warnings
}
lint --all-targets
lint --all-targets -p bootc-image-helper -p labtool
lint --all-targets -p bootc-image-plugin-builder
lint --all-targets -p bootc-image-plugin-sdk

guests=()
for manifest in plugins/*/Cargo.toml tests/guests/*/Cargo.toml; do
    guests+=(-p "$(basename "$(dirname "$manifest")")")
done
lint --target wasm32-unknown-unknown "${guests[@]}"
