# shellcheck shell=bash
# cluster.sh, read by ssh.sh and slurm.sh: a Dask cluster over TLS that lives as long as one
# command. Its certificates are made for it alone; their key is on no command line.
#   BIN              folder of Overtile's programs, the same on all machines (.venv/bin here)
#   PORT             the scheduler's; any free one if left out. A region's file must name it:
#                    compute: {executor: "tls://127.0.0.1:PORT"}
#   THREADS          that read, trace and write, in each worker (3)
#   OMP_NUM_THREADS  of a forward pass (2)
#   WAIT_S           how long workers may take to join (300)
BIN=${BIN:-$ROOT/.venv/bin}
THREADS=${THREADS:-3}
WAIT_S=${WAIT_S:-300}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
TLS=DASK_DISTRIBUTED__COMM__TLS

if [ ! -x "$BIN/overtile" ]; then
  echo "${0##*/}: BIN=$BIN holds no overtile; make setup, or name the folder that does" >&2
  exit 2
fi

private=$(mktemp -d)
mkfifo "$private/life"
# This script alone holds it open for writing (8): however it ends, who reads it (9) comes to know.
# shellcheck disable=SC2094
exec 8<>"$private/life" 9<"$private/life"

# companion COMMAND...: in the background, ended with this script, even by SIGKILL. In a session of its
# own: what stops all processes of this one's group does not stop what ends the companion.
companion() {
  # shellcheck disable=SC2016
  setsid bash -c '"$@" 9<&- & child=$!
    (cat <&9; kill "$child"; sleep 10; kill -9 "$child") &
    wait "$child"; kill "$!"' - "$@" 8>&- </dev/null >>"$private/log" 2>&1 &
}

failed() {
  tail -n 20 "$private/log" >&2
  echo "${0##*/}: $1" >&2
  exit 1
}

finish() {
  exec 8>&-
  wait
}

# begin ADDRESS PORT: a scheduler at this address of this machine (port 0: any); sets $scheduler.
begin() {
  # shellcheck disable=SC2016
  setsid bash -c 'cat <&9; sleep 1; rm -rf "$1"' - "$private" 8>&- >/dev/null 2>&1 &
  trap finish EXIT
  "$ROOT/workflows/certificates.sh" "$private/tls" 30
  rm "$private/tls/ca.key"
  export "${TLS}__CA_FILE=$private/tls/ca.pem"
  local role
  for role in SCHEDULER CLIENT; do
    export "${TLS}__${role}__CERT=$private/tls/node.pem" \
      "${TLS}__${role}__KEY=$private/tls/node.key"
  done
  companion "$BIN/dask" scheduler --host "$1" --port "$2" --protocol tls \
    --no-dashboard --dashboard-address 127.0.0.1:0 --scheduler-file "$private/scheduler.json"
  local began=$SECONDS companion=$!
  while [ ! -s "$private/scheduler.json" ]; do
    if ! kill -0 "$companion" 2>/dev/null || ((SECONDS - began > 300)); then
      failed "no scheduler came up at $1:$2"
    fi
    sleep 0.2
  done
  scheduler=$("$BIN/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' \
    "$private/scheduler.json")
}

# credentials: assignments of what a worker proves itself with, as text instead of files.
credentials() {
  printf "%s=%q\n" "${TLS}__CA_FILE" "$(<"$private/tls/ca.pem")" \
    "${TLS}__WORKER__CERT" "$(<"$private/tls/node.pem")" \
    "${TLS}__WORKER__KEY" "$(<"$private/tls/node.key")" OMP_NUM_THREADS "$OMP_NUM_THREADS"
}

# run COUNT ARGUMENTS...: `overtile ARGUMENTS` once so many workers have joined, to its end.
run() {
  local count=$1
  shift
  "$BIN/python" - "$scheduler" "$count" "$WAIT_S" 8>&- 9<&- 2>>"$private/log" <<'PY' ||
import sys
from distributed import Client
address, count, wait_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
    with Client(address, timeout=wait_s) as client:
        client.wait_for_workers(count, timeout=wait_s)
except OSError:  # TimeoutError is one
    sys.exit(1)
PY
    failed "after $WAIT_S s not all workers ($count) had joined; above is what they said last"
  if [ "${1:-}" = map ]; then
    set -- "$@" --executor "$scheduler"
  fi
  "$BIN/overtile" "$@" 8>&- 9<&- &
  local overtile=$!
  trap 'kill -TERM "$overtile" 2>/dev/null' INT TERM
  while kill -0 "$overtile" 2>/dev/null; do
    wait "$overtile" && code=0 || code=$?
  done
  exit "$code"
}
