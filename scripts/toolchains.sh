#!/bin/bash
# Components as toolchains of other languages make them, in target/toolchains, for tests: the policies of the how-to pages, made
# by the pages' own commands, and the formats of tests/toolchains. Made once; afterwards nothing needs the network.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=$PWD
made=$(realpath -m "${CARGO_TARGET_DIR:-target}")/toolchains
# What they are made of; where that is another, they are made again.
inputs=$(cat scripts/toolchains.sh wit/*/*.wit tests/toolchains/*/*.* docs/how-to/write-plugin-in-*.md | sha256sum)
[ "$(cat "$made/complete" 2>/dev/null)" = "$inputs" ] && exit
missing=()
command -v npm >/dev/null || missing+=(nodejs npm)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"

# Packages that a pinned one depends on are those of this day.
export npm_config_before=2026-11-27 npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
export PIP_DISABLE_PIP_VERSION_CHECK=1

# The files that a page shows, in this directory, and the commands that it has users run, on stdout.
page() {
    awk '
        /^```/ && !block { block = $0; file = ""; first = 1; next }
        /^```/ { block = ""; if (file) close(file); next }
        block == "```console" && /^\$ / { print substr($0, 3); more = /\\$/; next }
        block == "```console" { if (more) print; more = more && /\\$/; next }
        block && first { first = 0
            if ($0 ~ /^(#|\/\/) [^ ]+$/) { file = $2; folder = file
                if (sub(/\/[^\/]*$/, "", folder)) system("mkdir -p " folder)
                next } }
        block && file { print >file }
    ' "$1"
}

# A language: its page, and the command that makes its format.
make_components() {
    mkdir -p "$made/$1"
    ln -sfn "$sources" "$made/bootc-image"
    cd "$made/$1"
    page "$sources/docs/how-to/write-plugin-in-$1.md" >commands
    bash -euo pipefail commands
    "$2"
}
python_format() {
    local wit=../bootc-image/wit
    cp ../bootc-image/tests/toolchains/python/names.py .
    tools/bin/componentize-py -d $wit/types -d $wit/host -d $wit/format -w bootc-image:format/output \
        componentize names -o names.wasm
}
javascript_format() {
    mkdir -p format/deps
    cp ../bootc-image/wit/format/*.wit format
    cp -r ../bootc-image/wit/types ../bootc-image/wit/host format/deps
    npx componentize-js --wit format --world-name output -o names.wasm ../bootc-image/tests/toolchains/javascript/names.js
}

rm -rf "$made"
mkdir -p "$made"
make_components python python_format &
python=$!
make_components javascript javascript_format &
javascript=$!
wait $python
wait $javascript
rm -rf "$made/javascript/node_modules" "$made/python/tools"
echo "$inputs" >"$made/complete"
