#!/bin/bash
# Compares the messages that a run of all tests has seen with their snapshots (tests/src/messages.rs): one that no test provokes any
# more must go. With BLESS=1 the snapshots become what was seen.
set -euo pipefail
cd "$(dirname "$0")/.."
seen=${CARGO_TARGET_DIR:-target}/messages
kept=tests/golden/messages

if [ -n "${BLESS:-}" ]; then
    rm -rf "$kept"
    cp -r "$seen" "$kept"
elif ! diff --recursive --unified "$kept" "$seen"; then
    echo "The snapshots have messages that no test has seen. If that is meant: BLESS=1 scripts/messages.sh" >&2
    exit 1
fi
