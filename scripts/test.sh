#!/usr/bin/env bash
# Everything that the continuous integration runs, in the order in which a mistake shows soonest.
set -euo pipefail
cd "$(dirname "$0")/.."

# Pinned: the version whose components the tests have seen.
cargo_component=0.21.1
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tarefa"
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
started=$SECONDS
step() { printf '\n== %s (%d s)\n' "$*" "$((SECONDS - started))"; }
fail() { echo "test: $*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step "the guests, for WebAssembly"
scripts/guests.sh

step "formatting and lints"
scripts/check.sh

step "the host, optimised"
cargo build --release --locked -p tarefa
tarefa="$target/release/tarefa"

step "tests of the host, the SDK and the examples"
# Optimised as well, and the host by itself: building Wasmtime once more, for another profile or for the features that
# the other packages add, would take longer than all tests.
cargo test --release --locked -p tarefa
cargo test --release --locked --workspace --exclude tarefa

export TAREFA_DATA_DIR="$scratch/data"

step "cargo-component $cargo_component"
if ! "$cache/bin/cargo-component" --version 2>/dev/null | grep -q " $cargo_component\b"; then
    # Outside the clone, so that every clone has it; in a target folder that is not kept.
    CARGO_TARGET_DIR="$scratch/cargo-component" cargo install --locked --root "$cache" "cargo-component@$cargo_component"
fi
export PATH="$cache/bin:$PATH"
ls "$(rustc --print target-libdir --target wasm32-wasip1)"/libstd-* >/dev/null 2>&1 || guests=wasm-guest

# Builds the crate in a folder the way that people of the component model do, registers it and runs its flow.
component() {
    local folder=$1 name=$2 expected=$3
    step "cargo component build: $name"
    (cd "$folder" && env ${guests:+RUSTUP_TOOLCHAIN=$guests} CARGO_TARGET_DIR="$target" cargo component build --release)
    "$tarefa" register "$target/wasm32-wasip1/release/${name//-/_}.wasm" --name "$name"
    result=$("$tarefa" run "$name")
    grep -qF "$expected" <<<"$result" || fail "\`$name\` returned $result, without \`$expected\`"
}
"$tarefa" new "$scratch/my-flow"
(cd "$scratch/my-flow" && CARGO_TARGET_DIR="$target" cargo test)
component "$scratch/my-flow" my-flow "Hello, Grace!"
component examples/flow_paralelo flow_paralelo tempo_processamento
# What knows nothing of Tarefa: its exported function is a task.
(cd "$scratch" && cargo component new --lib plain)
component "$scratch/plain" plain "Hello, World!"

step "the API, against its description"
scripts/api-check.sh

step "the demo"
scripts/demo.sh

step "all is well"
