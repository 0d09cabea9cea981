#!/bin/bash
# Builds the book (docs/, book.toml) with mdBook, which is built into the target directory if the machine has none.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.4
target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
PATH=$PATH:$tools/bin

if ! command -v mdbook >/dev/null; then
    # A quick build: it runs for a second. In a directory of its own, so that no other cargo waits for it.
    CARGO_PROFILE_DEV_DEBUG=false cargo install mdbook --version $version --locked --debug --no-default-features --features search \
        --root "$tools" --target-dir "$tools/build-mdbook"
    rm -rf "$tools/build-mdbook"
fi
mdbook build --dest-dir "$(realpath -m "$target")/book" .
echo "$target/book/index.html"
