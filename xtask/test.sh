#!/bin/bash
# All tests. The workspace is tested a package at a time where its features must not unify with the others'.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked
cargo test --locked -p bootc-image-plugin-sdk
# As the helper was built: what both depend on isn't compiled a second time.
cargo test --locked --release -p bootc-image-helper -p bootc-image-plugin-builder
