#!/bin/bash
# Fuzzes: xtask/fuzz.sh SECONDS [TARGET...], all targets if none is named. New inputs are kept in the target directory;
# `xtask/fuzz.sh merge` adds those that reach new code to the ones in tests/fuzz/corpus.
set -euo pipefail
shopt -s extglob
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds for each}
shift
target=${CARGO_TARGET_DIR:-target}
corpus=tests/fuzz/corpus
RUSTC_WORKSPACE_WRAPPER=$PWD/xtask/fuzz-rustc \
    cargo build --quiet --locked -p bootc-image-fuzz --features libfuzzer --bin fuzz
(($#)) || set -- $(ls $corpus)

for name in "$@"; do
    mkdir -p "$target/fuzz/$name" "$target/fuzz/found"
    if [[ $seconds == merge ]]; then
        TARGET=$name "$target/debug/fuzz" -merge=1 -max_len=16384 $corpus/"$name" "$target/fuzz/$name" 2>&1 | tail -1
        continue
    fi
    log=$target/fuzz/$name.log
    # Whatever takes a second or a GiB is a failure: no input is larger than 16 KiB.
    TARGET=$name "$target/debug/fuzz" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=256 \
        -max_len=16384 -print_final_stats=1 -artifact_prefix="$target/fuzz/found/$name-" \
        "$target/fuzz/$name" $corpus/"$name" &>"$log" || { tail -30 "$log"; exit 1; }
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    coverage=$(sed -n 's/.*DONE *cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' "$log")
    echo "$name: $executed executions in $seconds s, $coverage, $memory MB"
done
