# What a document's commands find in their shell: `tarefa` on the PATH, a data directory of their own, and a server in
# the background where they start one in a terminal of its own.
exec 2>&1 </dev/null
set -o pipefail

server= address=
trap 'stop_server' EXIT

stop_server() {
    if [ -n "$server" ]; then
        kill "$server"
        wait "$server"
        server=
    fi
}

tarefa() {
    if [ "$1" != serve ]; then
        command tarefa "${@//127.0.0.1:4200/${address:-127.0.0.1:4200}}"
        return
    fi
    stop_server
    # On a port that is free: the documents say 4200.
    command tarefa "$@" --listen 127.0.0.1:0 >"$SCRATCH/serve.log" 2>&1 &
    server=$!
    until grep -q 'unfinished runs' "$SCRATCH/serve.log"; do
        kill -0 "$server" || return
        sleep 0.05
    done
    cat "$SCRATCH/serve.log"
    address=$(sed -n 's|.* serves http://||p' "$SCRATCH/serve.log")
}

curl() {
    command curl "${@//127.0.0.1:4200/$address}"
}
