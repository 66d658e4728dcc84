#!/usr/bin/env bash
# Holds the API to its own description: schemathesis asks a fresh server for what `/api/openapi.json` allows, and for what
# it does not, and compares the replies with what it says. Needs the host and the guests to be built.
set -euo pipefail
cd "$(dirname "$0")/.."

# Pinned: the version whose questions this server has answered.
schemathesis=4.32.5
# The same questions each time.
seed=20260102
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection
venv="${XDG_CACHE_HOME:-$HOME/.cache}/tarefa/schemathesis-$schemathesis"
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
tarefa="$target/release/tarefa"
fail() { echo "api-check: $*" >&2; exit 1; }

if ! "$venv/bin/schemathesis" --version >/dev/null 2>&1; then
    python3 -m venv "$venv" || fail "python3 with its module venv is needed"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$schemathesis"
fi

source scripts/scratch-server.sh
start_server

# Something to ask for: modules, a flow with children and a log, a run that failed, one that shows something, a variable.
GUESTS=
for guest in noop logs fails shows; do
    wasm="$target/wasm32-wasip2/release/examples/$guest.wasm"
    "$tarefa" register "$wasm" --name "$guest" 2>/dev/null
    GUESTS+="$wasm "
done
export GUESTS
for entry in "noop sequential --param n=3" "logs flow_logs" "fails catches" "fails says_no" "shows shows"; do
    # Its parts are words without blanks.
    # shellcheck disable=SC2086
    "$tarefa" run $entry >/dev/null 2>&1 || true
done
"$tarefa" variables set vat-rate 0.23 >/dev/null 2>&1
ids='import json, sys; print(*(run["id"] for run in json.load(sys.stdin)["items"]))'
RUNS=$("$tarefa" runs --all --json 2>/dev/null | "$venv/bin/python" -c "$ids")
export RUNS
[[ $RUNS == *" "* ]] || fail "there are no runs to ask for"

cat >"$scratch/schemathesis.toml" <<END
hooks = "$PWD/scripts/api_check_hooks.py"
END

# From within the scratch folder: it finds its configuration there, and leaves what it remembers.
check() {
    (cd "$scratch" && "$venv/bin/schemathesis" run "$url/api/openapi.json" --seed "$seed" --max-examples 100 \
        --request-timeout 30 --checks "$checks" --warnings off --no-color "$@") ||
        { tail -20 "$scratch/server.log" >&2; fail "the API is not what it says it is (above)"; }
}
# First, and by itself: while all runs are over, their streams of events end as well.
check --include-operation-id follow_run --phases examples,coverage,fuzzing
check --exclude-operation-id follow_run --phases examples,coverage,fuzzing,stateful
