#!/bin/bash
# All tests: of the host, with the tests of the workspace, which drive what `scripts/build.sh lab` built; of what others build
# plugins and extensions with, and of our plugins; of the helper and of what builds plugins. A group at a time, where features
# must not unify with the others'.
set -euo pipefail
cd "$(dirname "$0")/.."
# More at a time than there are processors: half of the time, a test waits for a disk or for a process that it has started.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
source scripts/worlds.sh
scripts/toolchains.sh
# In CI, clippy compiles what is tested, with warnings as errors, as `cargo clippy` has it check: to check all of it, with what it
# depends on, would take three minutes more. What tests have cargo build isn't linted.
if [[ ${LINT:-} ]]; then
    RUSTC_WORKSPACE_WRAPPER=$(rustup which clippy-driver)
    export RUSTC_WORKSPACE_WRAPPER CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
    machine=$(rustc --version --verbose | sed -n 's/^host: //p' | tr a-z- A-Z_)
    export "CARGO_TARGET_${machine}_RUNNER=env --unset=RUSTC_WORKSPACE_WRAPPER --unset=CLIPPY_ARGS"
fi
rm -rf "${CARGO_TARGET_DIR:-target}/messages"
cargo test --locked
scripts/messages.sh
# With Debian 13's programs: they have Quadlet, and a podman that reads its configuration otherwise.
scripts/debian13.sh
BOOTC_IMAGE_MACHINE=${CARGO_TARGET_DIR:-target}/debian13 cargo test --locked --test configuration --test hosts --test partial
plugins=()
for manifest in plugins/*/Cargo.toml; do
    plugins+=(-p "$(basename "$(dirname "$manifest")")")
done
cargo test --locked -p bootc-image-extension -p bootc-image-plugin-sdk "${plugins[@]}"
# With labtool, as the helper was built: what both depend on isn't compiled a second time.
cargo test --locked -p bootc-image-helper -p labtool -p bootc-image-plugin-builder
if [[ ${LINT:-} ]]; then
    # What no test needs.
    cargo build --locked -p bootc-image-tests --features bootc-image-test-guests --bin operations
    cargo build --locked -p bootc-image-fuzz --features libfuzzer --bin fuzz
    cargo build --locked -p bootc-image-plugin-builder --no-default-features --lib --examples
fi
