#!/bin/bash
# Builds the programs, and the tool that makes test worlds: scripts/build.sh release|lab [PART...]. `release` is what users get,
# in target/release; `lab` is the same but for LTO, in target/lab, for the tests and the demo. A part at a time: together,
# cargo would unify features and link into the host what only the helper needs.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:?release or lab}
shift
(($#)) || set -- helper host native plugins
target=${CARGO_TARGET_DIR:-target}
options=(--locked)
if [[ $profile == release ]]; then
    built=$target/release
    options+=(--release)
else
    # In the directory of the profile `dev`: what all depend on is compiled once for this and the tests
    # (docs/adr/0017-build-times.md).
    built=$target/debug
    export CARGO_PROFILE_DEV_{OPT_LEVEL=3,CODEGEN_UNITS=16,DEBUG=false,DEBUG_ASSERTIONS=false,OVERFLOW_CHECKS=false}
    export CARGO_PROFILE_DEV_INCREMENTAL=false CARGO_PROFILE_DEV_STRIP=debuginfo
fi

# Renamed into place, since a running demo may hold the old one.
put() {
    [[ $profile == lab ]] || return 0
    mkdir -p "$target/lab"
    for program; do
        cmp -s "$built/$program" "$target/lab/$program" && continue
        cp "$built/$program" "$target/lab/$program.new"
        mv "$target/lab/$program.new" "$target/lab/$program"
    done
}

for part; do
    case $part in
    helper)
        cargo build "${options[@]}" -p bootc-image-helper -p labtool
        put bootc-image-helper labtool
        ;;
    host)
        # Static, its relocations packed (docs/adr/0001-executables.md). Options of this executable and no other: a build script
        # or a procedural macro must be loadable, and the libraries are the tests' as well.
        cargo rustc "${options[@]}" -p bootc-image --bin bootc-image -- \
            -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs
        put bootc-image
        ;;
    native)
        cargo build "${options[@]}" -p bootc-image-native
        put bootc-image-native
        # What tests have it load that is written in Rust.
        [[ $profile == release ]] || cargo build "${options[@]}" -p bootc-image-extension --example vendor
        ;;
    plugins)
        # Shipped beside the program; installing one is the administrator's decision.
        cargo build "${options[@]}" -p bootc-image-packager
        put package-plugins
        "$built/package-plugins" "$target/$profile/plugins" csv-format docker-json-format markdown-format \
            podman-maintenance prometheus-format registry-policy template-format
        ;;
    *)
        echo "$0: no part is called $part" >&2
        exit 2
        ;;
    esac
done
