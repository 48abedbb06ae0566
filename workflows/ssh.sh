#!/usr/bin/env bash
# ssh.sh HOST... -- ARGUMENTS...: runs `overtile ARGUMENTS` here, with a Dask worker on each host.
# For example: workflows/ssh.sh node1 node2 -- map /shared/scene.tif --out /shared/out
# Hosts let you in without asking (keys), have Overtile of this version in the same folder, and see
# the same files under the same paths. A host named twice gets two workers; node1/0 node1/1 gives
# each a GPU of its own.
# Every port is opened on loopback alone; ssh carries what goes between machines. A worker that
# ends, or whose connection ends, begins again. cluster.sh names the settings; beside them
#   SSH  how to call ssh ("ssh"; for example "ssh -F my_config")
set -euo pipefail
hosts=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  hosts+=("$1")
  shift
done
if [ ${#hosts[@]} = 0 ] || [ $# -lt 2 ]; then
  echo "usage: ssh.sh HOST... -- ARGUMENTS..., such as: ssh.sh node1 node2 -- map scene.tif --out out" >&2
  exit 2
fi
shift
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/workflows/cluster.sh"

# remote NAME THERE BACK HERE GPU: what a host shall do: work until its input ends.
remote() {
  credentials | sed 's/^/export /'
  [ -z "$5" ] || printf 'export CUDA_VISIBLE_DEVICES=%q\n' "$5"
  cat <<SH
exec 3<&0
$(printf %q "$BIN/dask") worker tls://127.0.0.1:$3 --name $1 --no-nanny --nthreads $THREADS \
  --no-dashboard --dashboard-address 127.0.0.1:0 --death-timeout 60 --listen-address tls://127.0.0.1:$2 \
  --contact-address tls://127.0.0.1:$4 </dev/null &
worker=\$!
(cat <&3; kill \$worker && sleep 5 && kill -9 \$worker) >/dev/null 2>&1 &
wait \$worker
exit
SH
}

FREE='import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))'

# worker HOST[/GPU] NUMBER: one there, again and again. It listens on port `there` of its machine;
# the scheduler reaches it through port `here`, and it reaches the scheduler through port `back`.
worker() {
  exec 8>&-
  local there back here host=${1%%/*} gpu=
  [ "$host" = "$1" ] || gpu=${1#*/}
  while [ -e "$private/life" ]; do
    read -r there back here < <("$BIN/python" -c "$FREE")
    # shellcheck disable=SC2086
    ${SSH:-ssh} -T -o BatchMode=yes -o ExitOnForwardFailure=yes -o ServerAliveInterval=15 \
      -L "127.0.0.1:$here:127.0.0.1:$there" -R "127.0.0.1:$back:127.0.0.1:${scheduler##*:}" \
      "$host" bash -s \
      < <(remote "$host-$2" "$there" "$back" "$here" "$gpu"; cat <&9) || true
    sleep 1
  done
}

begin 127.0.0.1 "${PORT:-0}"
for at in "${!hosts[@]}"; do
  worker "${hosts[at]}" "$at" >>"$private/log" 2>&1 &
done
run ${#hosts[@]} "$@"
