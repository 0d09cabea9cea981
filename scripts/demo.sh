#!/bin/bash
# Builds what the demo needs, says how far that is, and shows the demo. What the builds say is in a log, which is shown if one
# fails. Progress goes to stderr: stdout is the demo's alone, and so is a terminal's screen in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
log=$target/demo.log
steps=0
mkdir -p "$target"
: >"$log"

say() {
    echo "$1" >&2
    steps=$((steps + 1))
}
step() {
    local what=$1
    shift
    say "$steps of 5: $what"
    if ! "$@" &>>"$log" </dev/null; then
        cat "$log" >&2
        echo "That failed: $what. The above is all of $log." >&2
        exit 1
    fi
}
say "The first time takes about ten minutes on two processors. Details: $log"
step "looking for system packages that are missing (up to 2 minutes)" scripts/setup.sh
step "building the helper, with libostree and the compiler of plugins (4 minutes)" scripts/build.sh lab helper
step "building the host (3 minutes)" scripts/build.sh lab host
step "building the process of native extensions, and plugins (1 minute)" scripts/build.sh lab native plugins
step "building the demo (half a minute)" cargo build --locked -p bootc-image-tests --bin demo --bin world-enter
if [[ -t 2 ]]; then printf '\e[%dA\e[J' "$steps" >&2; fi
exec "$target/debug/demo" "$@"
