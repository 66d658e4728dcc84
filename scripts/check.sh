#!/usr/bin/env bash
# Formatting and lints of the host, the SDK, the examples and the test guests.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- -D warnings
