#!/usr/bin/env bash
# From nothing to a pipeline on real data: builds, starts a server of its own, runs, shows, and cleans up.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }

source scripts/scratch-server.sh

step "building the host (the first time takes minutes)"
scripts/guest-toolchain.sh
cargo build --release --locked -p tarefa
tarefa="$(realpath "${CARGO_TARGET_DIR:-target}")/release/tarefa"
mkdir "$scratch/out"

step "starting a server on a free port, with a fresh data directory"
start_server --allow-dir examples/penguins/data:ro --allow-dir "$scratch/out:rw"
cat "$scratch/server.log"

step "building and registering the examples"
for example in examples/*/; do
    "$tarefa" register "$example" 2>"$scratch/register.log" || { cat "$scratch/register.log" >&2; fail "could not register $example (above)"; }
done

step "running the pipeline: 344 penguins, one sandbox for each task"
"$tarefa" run penguins --dir examples/penguins/data=/data:ro --dir "$scratch/out=/out:rw"

step "the file that it wrote into the granted directory"
ls -l "$scratch/out" | tail -n +2

step "the tree of runs (tarefa runs show latest)"
"$tarefa" runs show latest 2>/dev/null | sed '/^result:/,$d'

step "the log of one of its tasks"
task=$("$tarefa" runs --all --module penguins --entry validate --limit 1 2>/dev/null | awk 'NR == 2 { print $1 }')
echo "tarefa logs $task"
"$tarefa" logs "$task" 2>/dev/null

step "the same over HTTP"
echo "curl $url/api/runs?root=true"
if command -v curl >/dev/null; then
    reply=$(curl -sSf "$url/api/runs?root=true")
    echo "${reply:0:300} …"
fi

step "stopping the server"
kill "$server"
wait "$server" || fail "the server ended with code $?"
server=
cat <<'END'

where to look next:
  examples/penguins/src/lib.rs   the pipeline that ran: four tasks and a flow
  make install                   puts `tarefa` on your PATH; then `tarefa new my_flow` starts a flow of your own
  README.md                      the way from there
END
