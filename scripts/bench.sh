#!/usr/bin/env bash
# Builds the guests, then measures: prints `name: value` lines and a table.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/guests.sh
cargo build --release --locked -p tarefa
exec cargo bench --locked -p tarefa
