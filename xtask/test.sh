#!/bin/bash
# All tests. The workspace is tested a package at a time where its features must not unify with the others'.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked
