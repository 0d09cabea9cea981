#!/bin/bash
# Checks that what several builds depend on has the same features in each, and so is compiled once (docs/adr/0017-build-times.md).
# Compiles nothing. What fails here is put right in Cargo.toml: the feature is named in [workspace.dependencies], or the
# dependency by a package that doesn't use it.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the library ROOT needs in a build, with features; all that the build needs if ROOT is `.`. cargo shows this on a stable
# toolchain if it is told to.
libraries() {
    local root=$1
    shift
    RUSTC_BOOTSTRAP=1 cargo "$@" --locked -Z unstable-options --unit-graph | jq --raw-output --arg root "$root" '
        .units as $units
        | [range(0; $units | length) | select($root == "." or ($units[.].pkg_id | test("[#/]" + $root + "@")))]
        | last(recurse((. + [.[] | $units[.].dependencies[].index] | unique) as $more | if $more == . then empty else $more end))
        | map($units[.])[]
        | select(.mode == "build" and (.target.kind | index("lib") or index("proc-macro")))
        | "\(.pkg_id | sub(".*[#/]"; "")) \(.features | sort | join(","))"' | sort -u
}
failed=
# same ROOT BUILD OTHER: all that OTHER compiles for ROOT, BUILD compiles too. Our own packages differ in doubles for unit tests.
same() {
    local build other others
    build=$(libraries "$1" $2)
    other=$(libraries "$1" $3)
    others=$(comm -13 <(echo "$build") <(echo "$other") | grep -v "${4:-^libfuzzer-sys@}" || true)
    if [[ $others ]]; then
        failed=1
        printf 'cargo %s, but not cargo %s:\n%s\n' "$3" "$2" "$others" >&2
    fi
}
ours='^bootc-image\|^libfuzzer-sys@'
same . test "build -p bootc-image" "$ours"
same . test "build -p bootc-image-packager" "$ours"
same . test "build -p bootc-image-with -p bootc-image-native" "$ours"
same . test "build -p bootc-image -p bootc-image-fuzz --features bootc-image-fuzz/libfuzzer --bin fuzz" "$ours"
# One test is built without building all.
same . test "test -p bootc-image-tests"
# The helper links what compiles the plugins that are embedded.
helper="build -p bootc-image-helper -p labtool"
same wasmtime-internal-cranelift "$helper" "build -p bootc-image"
same wasmtime-internal-cranelift "$helper" "test -p bootc-image-helper -p labtool -p bootc-image-plugin-builder"
same wasmtime-internal-cranelift "$helper" "check --workspace --all-targets"
[[ ! $failed ]]
