# Sourced by scripts that need a server of their own: a scratch folder that is gone at the end, with the data directory in
# it, and `start_server`. Needs `fail`, and the binary's path in `tarefa`.

scratch=$(mktemp -d)
export TAREFA_DATA_DIR="$scratch/data"
server=

stop() {
    # By its process id: other servers on this machine are none of ours.
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null && wait "$server" || true
    fi
    rm -rf "$scratch"
}
trap stop EXIT

# Starts a server on a free port with the given flags, and sets `url`.
start_server() {
    "$tarefa" serve --listen 127.0.0.1:0 "$@" >"$scratch/server.log" 2>&1 &
    server=$!
    until grep -q '^tarefa .* serves http' "$scratch/server.log"; do
        kill -0 "$server" 2>/dev/null || { cat "$scratch/server.log" >&2; fail "the server did not start (above)"; }
        sleep 0.05
    done
    url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$TAREFA_DATA_DIR/lock")
}
