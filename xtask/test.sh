#!/bin/bash
# All tests. The workspace is tested a package at a time where its features must not unify with the others'.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked
# With Debian 13's programs: they have Quadlet, and a podman that reads its configuration otherwise.
xtask/debian13.sh
BOOTC_IMAGE_MACHINE=${CARGO_TARGET_DIR:-target}/debian13 cargo test --locked --test configuration --test hosts
cargo test --locked -p bootc-image-plugin-sdk
# As the helper was built: what both depend on isn't compiled a second time.
cargo test --locked --release -p bootc-image-helper -p bootc-image-plugin-builder
