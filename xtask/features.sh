#!/bin/bash
# Checks that what several builds depend on has the same features in each, and so is compiled once (docs/adr/0017-build-times.md).
# Compiles nothing. What fails here is put right in Cargo.toml: the feature is named in [workspace.dependencies].
set -euo pipefail
cd "$(dirname "$0")/.."

# The libraries that a build has, with their features; those of others, if `mine` isn't set. cargo shows this on a stable toolchain if it is told to.
libraries() {
    RUSTC_BOOTSTRAP=1 cargo "$@" --locked -Z unstable-options --unit-graph | jq --raw-output '.units[]
        | select(.mode == "build" and (.target.kind | index("custom-build") | not) and ('"${mine:-false}"' or (.pkg_id | startswith("path+") | not)))
        | "\(.pkg_id | sub(".*[#/]"; "")) \(.features | sort | join(","))"' | sort -u
}
all=$(libraries test)
failed=
# same NAMES BUILD...: those of the named libraries that the build has are as in `cargo test`; `.` names all.
same() {
    local names=$1 others
    shift
    others=$(comm -13 <(echo "$all") <(libraries "$@") | grep "^$names" | grep -v '^libfuzzer-sys@' || true)
    if [[ $others ]]; then
        failed=1
        printf 'cargo %s: not as in cargo test:\n%s\n' "$*" "$others" >&2
    fi
}
same . build -p bootc-image
same . build -p bootc-image -p bootc-image-fuzz --features bootc-image-fuzz/libfuzzer --bin fuzz
# One test is built without building all.
mine=true
all=$(libraries test)
same . test -p bootc-image-tests
mine=false
# The helper has Cranelift in common with what compiles the plugins that are embedded.
cranelift='\(cranelift-codegen\|fnv\|gimli\|hashbrown@0.17\|indexmap\|object\|regalloc2\|serde_derive\|syn@3\|wasmtime-environ\)'
same "$cranelift" build -p bootc-image-helper -p labtool
same "$cranelift" test -p bootc-image-helper -p labtool -p bootc-image-plugin-builder
[[ ! $failed ]]
