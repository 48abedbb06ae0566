"""A cluster over ssh: the bytes of a serial run, and nothing that stays behind."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.workflows.clusters import (
    WORKFLOWS,
    asked,
    compare,
    daemon,
    free_port,
    processes,
    surroundings,
    until,
)  # fmt: skip

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (SSHD and shutil.which("ssh") and shutil.which("openssl")),
        reason="openssh-server, openssh-client or openssl is not installed",
    ),
]

SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/me.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
CLIENT = """
Host node1 node2
  HostName 127.0.0.1
  Port {port}
Host nobody
  HostName 127.0.0.1
  Port 1
Host *
  IdentityFile {folder}/me
  IdentitiesOnly yes
  HostKeyAlias node
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking yes
"""


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on loopback with keys of its own; yields how to call the client."""
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "me"):
        make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        subprocess.run(make, check=True, timeout=60)
    port = free_port()
    for name, text in (("server", SERVER), ("client", CLIENT)):
        (folder / name).write_text(text.format(port=port, folder=folder))
    (folder / "known").write_text(f"node {(folder / 'host.pub').read_text()}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server locks itself in, as root
    client = f"ssh -F {shlex.quote(str(folder / 'client'))}"
    log = folder / "log"
    assert SSHD
    with daemon(SSHD, "-D", "-e", "-f", folder / "server", log=log, stop=signal.SIGTERM):
        hello = [*shlex.split(client), "-o", "BatchMode=yes", "node1", "true"]
        until(
            lambda: subprocess.run(hello, check=False, stderr=subprocess.DEVNULL).returncode == 0,
            told=log.read_text,
        )
        yield client


@contextmanager
def _recipe(
    *arguments: str, ssh: str, folder: Path, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    (folder / "tmp").mkdir(exist_ok=True)
    where = surroundings(SSH=ssh, TMPDIR=str(folder / "tmp"), **settings)
    with subprocess.Popen(
        [WORKFLOWS / "ssh.sh", *arguments],
        env=where, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _listening(mark: str) -> set[str]:
    """Return the addresses at which processes with this text in their arguments listen."""
    found = set()
    for pid in processes(mark):
        with suppress(psutil.NoSuchProcess):
            connections = psutil.Process(pid).net_connections(kind="tcp")
            found |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return found


def test_a_scene_mapped_over_ssh_has_the_bytes_of_a_serial_run(tmp_path: Path, ssh: str) -> None:
    with _recipe("node1", "node2", "--", *asked(tmp_path), ssh=ssh, folder=tmp_path) as process:
        _, told = process.communicate(timeout=900)
    assert process.returncode == 0, told
    compare(tmp_path, workers=2)
    assert not any((tmp_path / "tmp").glob("tmp.*"))
    assert not processes(str(tmp_path))


def test_ports_are_on_loopback_and_all_ends_with_a_recipe_that_was_killed(
    tmp_path: Path, ssh: str
) -> None:
    hosts = ("node1/5", "nobody")
    here, there = f"{tmp_path}/tmp/", "node1-0"
    with _recipe(*hosts, "--", "models", "list", ssh=ssh, folder=tmp_path) as process:
        until(lambda: _listening(there), told=lambda: "no worker began")
        assert (_listening(here), _listening(there)) == ({"127.0.0.1"}, {"127.0.0.1"})
        (worker,) = processes(there)
        assert psutil.Process(worker).environ()["CUDA_VISIBLE_DEVICES"] == "5"
        process.send_signal(signal.SIGKILL)
        until(
            lambda: not processes(here) and not processes(there),
            told=lambda: f"still there: {processes(here)}, {processes(there)}",
        )
    until(lambda: not any((tmp_path / "tmp").glob("tmp.*")), told=lambda: "keys are still there")


def test_all_ends_with_a_recipe_whose_processes_are_stopped_at_once(
    tmp_path: Path, ssh: str
) -> None:
    command = ("nobody", "--", "models", "list")
    with _recipe(*command, ssh=ssh, folder=tmp_path) as process:
        until(lambda: _listening(str(tmp_path)), told=lambda: "no scheduler began")
        os.killpg(process.pid, signal.SIGTERM)
    until(lambda: not processes(str(tmp_path)), told=lambda: "a scheduler is still there")
    until(lambda: not any((tmp_path / "tmp").glob("tmp.*")), told=lambda: "keys are still there")


def test_a_host_that_nobody_reaches_is_told(tmp_path: Path, ssh: str) -> None:
    (tmp_path / "tmp").mkdir()
    command = ("nobody", "--", "models", "list")
    with _recipe(*command, ssh=ssh, folder=tmp_path, WAIT_S="10") as process:
        _, told = process.communicate(timeout=900)
    assert process.returncode == 1
    assert "connect to host 127.0.0.1 port 1: Connection refused" in told
    assert "ssh.sh: after 10 s not all workers (1) had joined; above is what they said last" in told


def test_a_recipe_without_hosts_or_arguments_says_how_it_is_called(tmp_path: Path) -> None:
    for arguments in (("--", "map"), ("node1",), ("node1", "--")):
        with _recipe(*arguments, ssh="ssh", folder=tmp_path) as process:
            _, told = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "usage: ssh.sh HOST..." in told
