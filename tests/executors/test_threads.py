from __future__ import annotations

import psutil

from pipeline.executors.threads import Threads


def listening() -> set[tuple[str, int]]:
    connections = psutil.Process().net_connections(kind="tcp")
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def test_threads_of_this_process_open_no_port() -> None:
    before = listening()
    executor = Threads(threads=2)
    try:
        assert dict(executor.run(abs, [-1, 2])) == {-1: 1, 2: 2}
        opened = listening() - before
    finally:
        executor.close()
    assert not opened
