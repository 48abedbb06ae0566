#!/usr/bin/env bash
#SBATCH --job-name=overtile
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
# sbatch [OPTIONS] slurm.sh ARGUMENTS...: runs `overtile ARGUMENTS` as one job, with a Dask worker in
# each of its tasks. For example, in Overtile's folder, which all nodes see:
#   sbatch --nodes=4 --gpus-per-task=1 workflows/slurm.sh map /shared/scene.tif --out /shared/out
# The same job again goes on where one was cancelled, requeued or out of time.
# On one node every port is on loopback, on several on the nodes' own names; TLS in any case, by
# certificates of the job alone. cluster.sh names the settings (BIN, PORT, ...); beside them
#   OVERTILE_ROOT  Overtile's folder (where sbatch was called)
#   HOST           where the scheduler listens (see above)
set -euo pipefail
ROOT=${OVERTILE_ROOT:-${SLURM_SUBMIT_DIR:-}}
if [ $# = 0 ] || [ ! -f "$ROOT/workflows/cluster.sh" ]; then
  echo "usage: sbatch workflows/slurm.sh ARGUMENTS..., in Overtile's folder or with OVERTILE_ROOT" >&2
  exit 2
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
. "$ROOT/workflows/cluster.sh"

here=127.0.0.1 there=127.0.0.1
if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
  here=$(hostname) there="\$(hostname)"
fi
begin "${HOST:-$here}" "${PORT:-0}"
credentials >"$private/worker.env"
# shellcheck disable=SC2016
companion bash -c 'set -a; . "$1"; shift; exec "$@"' - "$private/worker.env" \
  srun --kill-on-bad-exit=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" bash -c \
  "exec $(printf %q "$BIN/dask") worker $scheduler --name \$SLURM_JOB_ID-\$SLURM_PROCID --host $there \
    --nworkers 1 --nthreads $THREADS --no-dashboard --dashboard-address 127.0.0.1:0 --death-timeout 60"
run "${SLURM_NTASKS:-1}" "$@"
