#!/bin/bash
# Fuzzes: scripts/fuzz.sh SECONDS [TARGET...], all targets if none is named, as many at once as there are processors. What is
# new stays in the target directory; `scripts/fuzz.sh merge` adds what reaches new code to the inputs that are kept: those that
# libFuzzer named are in found.tar.gz, each target's in one, those that somebody named are files.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds for each}
shift
target=${CARGO_TARGET_DIR:-target}
# With the host, whose features the tests were built with too: what both depend on isn't compiled a second time.
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc \
    cargo build --quiet --locked -p bootc-image -p bootc-image-fuzz --features bootc-image-fuzz/libfuzzer --bin fuzz
# Another build may put a program without coverage in its place.
mkdir -p "$target/fuzz/found"
cp "$target/debug/fuzz" "$target/fuzz/fuzz"

# The same inputs make the same archive, byte for byte.
pack() {
    (cd "$1" && find . -maxdepth 1 -type f -regextype egrep -regex '\./[0-9a-f]{40}' -printf '%f\n' | LC_ALL=C sort |
        tar --create --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0 --no-recursion --files-from=-) |
        gzip -9n >"$2"
}

one() {
    local name=$1 seconds=$2 target=$3 corpus=tests/fuzz/corpus/$1
    local log=$target/fuzz/$name.log new=$target/fuzz/new/$name kept=$target/fuzz/kept/$name
    rm -rf "$kept"
    mkdir -p "$new" "$kept"
    cp "$corpus"/* "$kept"
    if [[ -e $kept/found.tar.gz ]]; then
        tar --extract --gzip --file="$kept/found.tar.gz" --directory="$kept"
        rm "$kept/found.tar.gz"
    fi
    export TARGET=$name
    if [[ $seconds == merge ]]; then
        "$target/fuzz/fuzz" -merge=1 -max_len=16384 "$kept" "$new" &>"$log"
        pack "$kept" "$corpus/found.tar.gz"
        echo "$name: $(ls "$kept" | wc -l) inputs"
        return
    fi
    # An input of 16 KiB that takes seconds or much memory is as wrong as one that panics. In CI the search is the same each time:
    # a change is judged by what it changes, and not by luck.
    if ! "$target/fuzz/fuzz" ${CI:+-seed=1} -max_total_time="$seconds" -timeout=25 -rss_limit_mb=1024 -malloc_limit_mb=256 \
        -max_len=16384 -print_final_stats=1 -artifact_prefix="$target/fuzz/found/$name-" "$new" "$kept" &>"$log"; then
        grep -a -A3 -e 'panicked at' -e 'ERROR: libFuzzer' "$log" | cut -c1-300
        echo "$name: FAILED: $(ls "$target/fuzz/found/$name-"*)"
        return 1
    fi
    local executed memory coverage
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    coverage=$(sed -n 's/.*DONE *cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' "$log")
    echo "$name: $executed executions in $seconds s, $coverage, $memory MB"
}
export -f one pack
(($#)) || set -- $(ls tests/fuzz/corpus)
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -euc 'set -o pipefail; one "$@"' - {} "$seconds" "$target"
