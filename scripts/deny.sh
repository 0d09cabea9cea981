#!/bin/bash
# Checks dependencies with cargo-deny, which is built into the target directory if the machine has none.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=${CARGO_TARGET_DIR:-target}/tools
PATH=$PATH:$tools/bin

if ! cargo deny --version >/dev/null 2>&1; then
    # Built for a quick build, not for quick running: a check takes 3 seconds all the same. In a directory of its own, so that no
    # other cargo waits for it.
    CARGO_PROFILE_DEV_DEBUG=false cargo install cargo-deny --version $version --locked --debug --root "$tools" \
        --target-dir "$tools/build"
    rm -rf "$tools/build"
fi
cargo deny --locked check --hide-inclusion-graph bans licenses sources

# The database of advisories is fetched from where not every machine gets to.
advisories=$(cargo deny --locked check advisories 2>&1) && echo "$advisories" && exit
if grep -q 'failed to fetch advisory database' <<<"$advisories"; then
    echo "advisories: not checked (database out of reach)"
else
    echo "$advisories" >&2
    exit 1
fi
