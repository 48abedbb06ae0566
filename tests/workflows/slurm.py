"""A SLURM of two nodes on this machine, from Debian's packages, by the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.workflows.clusters import daemon, free_port, until

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "openssl")
MISSING = [name for name in _NEEDED if not shutil.which(name, path=_PATH)]
"""Programs that are not installed."""

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=3600
SlurmctldTimeout=3600
MessageTimeout=100
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """Start it on free ports of loopback; yield its configuration, for `SLURM_CONF`."""
    key, conf, munge = folder / "munge.key", folder / "slurm.conf", folder / "munge.socket"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    (folder / "state").mkdir()
    host = socket.gethostname().partition(".")[0]
    ports = [free_port() for _ in range(3)]
    conf.write_text(_CONF.format(host=host, ports=ports, user=getpass.getuser(), folder=folder))
    env = os.environ | {"SLURM_CONF": str(conf), "PATH": _PATH}
    with ExitStack() as stack:
        files = [f"--{name}={folder}/munge.{end}" for name, end in
                 (("socket", "socket"), ("key-file", "key"), ("pid-file", "pid"),
                  ("log-file", "log"), ("seed-file", "seed"))]  # fmt: skip
        logs = [folder / f"{name}.log" for name in ("munged", "controller", "one", "two")]
        stack.enter_context(
            daemon("munged", "--foreground", "--force", *files, log=logs[0], env=env)
        )
        until(munge.exists, told=logs[0].read_text)
        stack.enter_context(daemon("slurmctld", "-D", "-f", conf, log=logs[1], env=env))
        for name, log in zip(("one", "two"), logs[2:], strict=True):
            stack.enter_context(daemon("slurmd", "-D", "-f", conf, "-N", name, log=log, env=env))
        ask = ["sinfo", "--noheader", "--format=%T %D"]
        until(
            lambda: subprocess.run(
                ask, env=env, capture_output=True, text=True, check=False
            ).stdout == "idle 2\n",
            told=lambda: "\n".join(log.read_text() for log in logs),
        )  # fmt: skip
        yield conf
