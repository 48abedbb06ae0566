"""A cluster over TLS: certificates prove both sides, and what is wrong with one is said."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.executors.dask import Dask
from pipeline.executors.tls import security_for
from pipeline.gdal.raster_guard import install_guard
from tests.mapping.scenery import contents, write_scene

MAKE = Path(__file__).resolve().parents[2] / "workflows" / "certificates.sh"
QUIET = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A scheduler over TLS with one worker."""

    address: str
    """``tls://...``."""
    certificates: Path
    """As `certificates.sh` makes them."""


def certificates(folder: Path) -> Path:
    """Make an authority and a certificate by it."""
    subprocess.run([MAKE, folder], check=True, timeout=60)
    return folder


def settings(folder: Path) -> dict[str, str]:
    """Return Dask's settings for a client that has these certificates."""
    names = {"ca-file": "ca.pem", "client.cert": "node.pem", "client.key": "node.key"}
    return {f"distributed.comm.tls.{key}": str(folder / file) for key, file in names.items()}


@contextmanager
def _started(*command: str) -> Iterator[None]:
    whole = [sys.executable, "-m", "dask", *command]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(whole, env=QUIET, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = certificates(tmp_path_factory.mktemp("tls"))
    address = f"tls://127.0.0.1:{_port()}"
    port = address.rpartition(":")[2]
    common = ("--protocol", "tls", "--host", "127.0.0.1", "--no-dashboard")
    mine = [("ca-file", "ca.pem"), ("cert", "node.pem"), ("key", "node.key")]
    files = [part for key, name in mine for part in (f"--tls-{key}", str(folder / name))]
    with ExitStack() as stack:
        stack.enter_context(_started("scheduler", *common, *files, "--port", port))
        stack.enter_context(
            _started(
                *("worker", address, *common, *files, "--nthreads", "1", "--no-nanny"),
                *("--local-directory", str(folder / "worker")),
            )
        )
        _wait(int(port))
        yield Cluster(address=address, certificates=folder)


def _wait(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def test_a_scene_mapped_over_tls_has_the_bytes_of_a_serial_run(
    tmp_path: Path, cluster: Cluster
) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (1, 90, 120)).astype(np.uint8)
    scene = write_scene(tmp_path / "scene.tif", pixels)
    given = settings(cluster.certificates).items()
    variables = {f"DASK_{k.upper().replace('.', '__').replace('-', '_')}": v for k, v in given}
    for name, executor in (("serial", "serial"), ("tls", cluster.address)):
        command = [
            sys.executable,
            "-m",
            "pipeline.cli",
            "map",
            str(scene),
            "--out",
            str(tmp_path / name),
        ]
        subprocess.run(
            [*command, "--out", str(tmp_path / name), "--task", "bright", "--device", "cpu",
             "--executor", executor],
            env=QUIET | variables, check=True, capture_output=True, timeout=600,
        )  # fmt: skip
    assert contents(tmp_path / "tls" / "scene") == contents(tmp_path / "serial" / "scene")


def _refused(address: str, given: dict[str, str]) -> str:
    with dask.config.set(given), pytest.raises(ConfigError) as refused:
        Dask.connect(address, setup=install_guard, connect_s=2).close()
    return str(refused.value)


def test_certificates_that_are_missing_are_named(cluster: Cluster) -> None:
    given = settings(cluster.certificates)
    told = _refused(cluster.address, given | {"distributed.comm.tls.client.key": ""})
    assert "TLS needs certificates; set DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY to" in told
    gone = str(cluster.certificates / "gone.pem")
    told = _refused(cluster.address, given | {"distributed.comm.tls.ca-file": gone})
    assert f"CA_FILE={gone}" in told
    key = str(cluster.certificates / "ca.key")
    told = _refused(cluster.address, given | {"distributed.comm.tls.client.key": key})
    assert "the key must be the certificate's" in told


def test_certificates_of_strangers_are_refused_on_either_side(
    tmp_path: Path, cluster: Cluster
) -> None:
    ours, theirs = settings(certificates(tmp_path / "ours")), settings(cluster.certificates)
    told = _refused(cluster.address, ours)
    assert f"is not signed by {tmp_path / 'ours' / 'ca.pem'}" in told
    told = _refused(cluster.address, ours | {k: v for k, v in theirs.items() if "ca-file" in k})
    assert f"the scheduler refuses {tmp_path / 'ours' / 'node.pem'}" in told


def test_tls_and_plain_connections_do_not_mix(cluster: Cluster) -> None:
    told = _refused(cluster.address.replace("tls://", "tcp://"), settings(cluster.certificates))
    assert "one with TLS is at tls://" in told
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        port = plain.getsockname()[1]
    with _started("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"):
        _wait(port)
        told = _refused(f"tls://127.0.0.1:{port}", settings(cluster.certificates))
    assert "no TLS is spoken there" in told


def test_where_nobody_answers_dask_says_so(cluster: Cluster) -> None:
    with dask.config.set(settings(cluster.certificates)):
        assert security_for(f"tls://127.0.0.1:{_port()}") is not None
        assert security_for("tls://127.0.0.1:none") is not None
        assert security_for(cluster.address.replace("tls://", "tcp://")) is None
    told = _refused(f"tls://127.0.0.1:{_port()}", settings(cluster.certificates))
    assert "no Dask scheduler responds there" in told
