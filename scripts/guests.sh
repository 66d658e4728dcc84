#!/usr/bin/env bash
# Builds the examples and the test guests for WebAssembly, into target/wasm32-wasip2/release.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/guest-toolchain.sh
# The default toolchain where it has the target, else the one that guest-toolchain.sh made.
ls "$(rustc --print target-libdir --target wasm32-wasip2)"/libstd-* >/dev/null 2>&1 || export RUSTUP_TOOLCHAIN=wasm-guest
packages=()
for folder in examples/*/; do
    packages+=(-p "$(basename "$folder")")
done
cargo build --release --locked --target wasm32-wasip2 --lib "${packages[@]}"
cargo build --release --locked --target wasm32-wasip2 --examples -p test-guests
