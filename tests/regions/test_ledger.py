"""The ledger: what is written is there, whole, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline.errors import ConfigError, ExportError, LockedError
from pipeline.regions.ledger.ledger import NAME, Ledger, open_ledger
from pipeline.regions.ledger.lock import is_held, keep_alive, lock_region
from pipeline.regions.ledger.migrations import MIGRATIONS
from pipeline.regions.ledger.records import SceneRow
from tests.postgres import Server

SCENE = SceneRow(scene="a.tif", source="files", state="done", key="k", pixels=2**40, km2=1.5)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Return an empty ledger on each database."""
    url = None
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        url = server.database()
    found = open_ledger(tmp_path, region="town", url=url)
    yield found
    found.close()


def test_what_is_written_is_read_back(ledger: Ledger) -> None:
    ledger.put([SCENE, replace(SCENE, scene="b.tif", state="failed", reason='it\'s "odd" %s :x')])
    assert ledger.scenes()["a.tif"] == SCENE
    assert ledger.scenes()["b.tif"].reason == 'it\'s "odd" %s :x'
    ledger.record(replace(SCENE, state="partial"), {3: "no memory"})
    ledger.record(replace(SCENE, state="partial"), {3: "no memory", 4: "none"})
    assert ledger.scenes()["a.tif"].state == "partial"
    assert len(ledger.scenes()) == 2


def _files(ledger: Ledger) -> int:
    with ledger.engine.begin() as connection:
        return int(connection.execute(text("SELECT count(*) FROM outputs")).scalar() or 0)


def test_regions_share_a_database_and_nothing_else(ledger: Ledger) -> None:
    other = Ledger(ledger.engine, "village")
    ledger.put([SCENE])
    assert ledger.begin(holder="me", now=1.0).run == 1
    assert other.scenes() == {}
    assert other.runs() == []


def test_a_run_that_was_killed_counts_as_interrupted(ledger: Ledger) -> None:
    first = ledger.begin(holder="me", now=5.0)
    second = ledger.begin(holder="me", now=4.0)
    assert (first.run, second.run) == (1, 2)
    assert [run.state for run in ledger.runs()] == ["interrupted", "running"]
    done = replace(second, state="done", layer="runs/000002")
    ledger.commit(done, outputs={"runs/000002/x": (3, "ab")}, timings={"plan": 0.5})
    ledger.commit(done, outputs={"runs/000002/x": (3, "ab")}, timings={"plan": 0.5})
    assert ledger.published() == done
    assert _files(ledger) == 1
    ledger.forget_layer(done)
    assert (ledger.published(), _files(ledger)) == (None, 0)
    # A number that a folder on disk has is not given again.
    assert ledger.begin(holder="me", now=6.0, after=7).run == 8


def _first(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str | None:
    """Make a ledger as the first version did, with rows; return its URL."""
    statements = (Path(__file__).parent / "first_ledger.sql").read_text("utf-8")
    if database == "sqlite":
        with sqlite3.connect(tmp_path / NAME) as old:
            old.executescript(statements)
        old.close()
        return None
    server: Server = request.getfixturevalue("postgres")
    url = server.database()
    for statement in filter(str.strip, statements.split(";\n")):
        server.execute(statement, database=url.rpartition("/")[2])
    return url


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_ledger_of_the_first_version_is_brought_forward_with_all_that_it_knows(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = _first(database, tmp_path, request)
    for _ in range(2):  # bringing it forward happens once
        ledger = open_ledger(tmp_path, region="town", url=url)
        (scene,) = ledger.scenes().values()
        assert (scene.scene, scene.state, scene.attempts) == ("scenes/a.tif", "partial", 2)
        assert (scene.pixels, scene.off_nadir, scene.tried_at) == (2**40, 3.5, 1700000000.5)
        assert ledger.runs()[0].layer == "runs/000001"
        assert (ledger.runs()[0].settings, ledger.delivered()) == (None, {})
        ledger.close()
    ledger = open_ledger(tmp_path, region="town", url=url)
    row = ledger.begin(holder="me", now=1.0)
    ledger.commit(replace(row, state="done", settings="{}"), outputs={}, timings={"plan": 1.0})
    ledger.deliver("postgis x", layer_key="k", reason=None, now=1.0)
    assert (row.run, ledger.delivered()) == (2, {"postgis x": "k"})
    ledger.close()


def test_steps_that_were_released_never_change() -> None:
    # A new step gets a line of its own; these lines stay as they are.
    known = ["db9a98c426f37e60", "38f52f2ca1784faf", "c0a617de39adfefe"]
    digests = [hashlib.sha256("\n".join(step).encode()).hexdigest()[:16] for step in MIGRATIONS]
    assert digests == known


def test_a_later_file_is_refused(tmp_path: Path) -> None:
    open_ledger(tmp_path, region="town").close()
    with sqlite3.connect(tmp_path / NAME) as file:
        file.execute("INSERT INTO version VALUES (99)")
    file.close()
    with pytest.raises(ConfigError, match=r"its version is 99.*use the later Overtile"):
        open_ledger(tmp_path, region="town")


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"something else" * 1000)
    with pytest.raises(ConfigError, match=r"cannot be used as a ledger.*move it away.*run again"):
        open_ledger(tmp_path, region="town")


def test_a_file_that_is_damaged_later_is_told_with_a_way_out(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, region="town")
    ledger.put([replace(SCENE, scene=f"{at}.tif") for at in range(2000)])
    ledger.close()
    content = bytearray((tmp_path / NAME).read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 12288)
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: .*move it away.*run again"):
        open_ledger(tmp_path, region="town").scenes()


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used as a ledger") as caught:
        open_ledger(tmp_path, region="town", url="postgresql://me:hush@127.0.0.1:1/x")
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match="must be postgresql://"):
        open_ledger(tmp_path, region="town", url="mysql://me:hush@127.0.0.1:1/x")


def test_a_table_that_is_gone_is_an_export_error(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, region="town")
    with sqlite3.connect(tmp_path / NAME) as file:
        file.execute("DROP TABLE scenes")
    file.close()
    with pytest.raises(ExportError, match="the ledger could not be read"):
        ledger.scenes()


def test_one_of_two_schedulers_works_on_a_shared_database(postgres: Server, tmp_path: Path) -> None:
    url = postgres.database()
    first, second = (open_ledger(tmp_path, region="town", url=url) for _ in range(2))
    with lock_region(first, holder="process 7 on ship since noon") as prove:
        prove()
        with (
            pytest.raises(LockedError, match=r"region town .*process 7 on ship since noon"),
            lock_region(second, holder="process 8"),
        ):
            raise AssertionError
        with lock_region(Ledger(second.engine, "village"), holder="process 8"):
            pass
    with lock_region(second, holder="process 8"):
        pass
    first.close()
    second.close()


def _hold(url: str, folder: Path, ready: Any) -> None:
    """Hold a region until killed."""
    ledger = open_ledger(folder, region="town", url=url)
    with lock_region(ledger, holder="process 9 on an old ship"):
        ready.set()
        time.sleep(600)


def test_the_lock_of_a_killed_holder_expires(postgres: Server, tmp_path: Path) -> None:
    url = postgres.database()
    ledger = open_ledger(tmp_path, region="town", url=url)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(url, tmp_path, ready))
    holder.start()
    assert ready.wait(120)
    # What it says of itself does not count: the server knows whether its connection lives.
    assert is_held(ledger, holder=f"process 1 on {socket.gethostname()} since noon")
    assert not is_held(Ledger(ledger.engine, "village"), holder="process 9")
    holder.kill()
    holder.join()
    for _ in range(100):
        if not is_held(ledger, holder="process 9 on an old ship since noon"):
            break
        time.sleep(0.1)
    with lock_region(ledger, holder="process 8") as prove:
        prove()
        # A machine that vanishes says nothing: the server asks, and lets go in about a minute.
        with ledger.engine.connect() as connection:
            told = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            assert connection.execute(text(told)).scalar() == 1
    ledger.close()


def test_the_server_asks_a_silent_holder_whether_it_is_there(
    postgres: Server, tmp_path: Path
) -> None:
    ledger = open_ledger(tmp_path, region="town", url=postgres.database())
    with ledger.engine.connect() as connection:
        keep_alive(connection)
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        told = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
        assert told == ["20", "10", "4"]
        assert connection.execute(text("SHOW tcp_user_timeout")).scalar() == "60000"
    ledger.close()


def test_beside_sqlite_a_process_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, region="town")
    gone = multiprocessing.get_context("spawn").Process(target=os.getpid)
    gone.start()
    gone.join()
    here = socket.gethostname()
    assert is_held(ledger, holder=f"process {os.getpid()} on {here} since noon")
    assert not is_held(ledger, holder=f"process {gone.pid} on {here} since noon")
    assert is_held(ledger, holder=f"process {gone.pid} on another-ship since noon")
    ledger.close()


def test_a_holder_whose_connection_is_lost_knows_it_and_is_free(
    postgres: Server, tmp_path: Path
) -> None:
    url = postgres.database()
    first, second = (open_ledger(tmp_path, region="town", url=url) for _ in range(2))
    with lock_region(first, holder="process 7") as prove:
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        with pytest.raises(ExportError, match="connection that holds the region is lost"):
            prove()
        with lock_region(second, holder="process 8"):
            pass
    first.close()
    second.close()
