#!/usr/bin/env bash
# Puts `tarefa` where cargo puts programs. Not `cargo install`, which builds everything again in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked -p tarefa
bin="${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin"
install -D -m 755 "${CARGO_TARGET_DIR:-target}/release/tarefa" "$bin/tarefa"
echo "installed $bin/tarefa"
case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "$bin is not on your PATH: add it, or call $bin/tarefa" ;;
esac
# `tarefa build` needs it, and finds it without the clone from now on.
scripts/guest-toolchain.sh
