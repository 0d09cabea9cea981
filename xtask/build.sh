#!/bin/bash
# Builds the programs as users get them, and the tool that makes test worlds. One by one: together, cargo would unify
# features and link into the host what only the helper needs. The host is static, its relocations packed
# (docs/adr/0001-executables.md); a target is named so that this doesn't hold for build scripts and procedural macros,
# which must be loadable.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
triple=$(rustc --print host-tuple)
RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs' \
    cargo build --release --locked --target "$triple" -p bootc-image
cargo build --release --locked -p bootc-image-helper
cargo build --release --locked -p bootc-image-native
cargo build --release --locked -p labtool
# Plugins that are shipped beside the program; installing one is the administrator's decision.
cargo run --quiet --locked -p bootc-image-plugin-builder --no-default-features --example package-plugins -- \
    "$target/release/plugins" csv-format docker-json-format markdown-format podman-maintenance prometheus-format registry-policy template-format
# Where the helper is, too; renamed into place, since a running demo may hold the old one.
cp "$target/$triple/release/bootc-image" "$target/release/bootc-image.new"
mv "$target/release/bootc-image.new" "$target/release/bootc-image"
