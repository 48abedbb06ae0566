from __future__ import annotations

import psutil

from pipeline.executors.dask import Dask


def listening() -> set[tuple[str, int]]:
    connections = psutil.Process().net_connections(kind="tcp")
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def test_a_local_cluster_listens_on_loopback_alone() -> None:
    before = listening()
    executor = Dask.local(threads=2)
    try:
        opened = listening() - before
    finally:
        executor.close()
    assert {address for address, _ in opened} <= {"127.0.0.1", "::1"}
