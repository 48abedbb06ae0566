"""The ledger: what is written is there, whole, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, ExportError, LockedError
from pipeline.runs.region.ledger import NAME, Ledger, open_ledger
from pipeline.runs.region.lock import holding_region
from pipeline.runs.region.migrations import MIGRATIONS
from pipeline.runs.region.records import SceneRow
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
    ledger.forget_layer(done)
    assert ledger.published() is None


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_file_is_brought_forward(tmp_path: Path, version: int) -> None:
    with sqlite3.connect(tmp_path / NAME) as old:
        old.execute("CREATE TABLE version (version INTEGER)")
        for at in range(version):
            for statement in MIGRATIONS[at]:
                old.execute(statement)
            old.execute("INSERT INTO version VALUES (?)", (at + 1,))
        old.execute(
            "INSERT INTO scenes (region, scene, source, state, attempts) "
            "VALUES ('town', 'old.tif', 'files', 'done', 0)"
        )
    old.close()
    ledger = open_ledger(tmp_path, region="town")
    assert set(ledger.scenes()) == {"old.tif"}
    row = replace(ledger.begin(holder="me", now=1.0), state="done")
    ledger.commit(row, outputs={}, timings={"plan": 1.0})
    ledger.close()


def test_a_later_file_is_refused(tmp_path: Path) -> None:
    open_ledger(tmp_path, region="town").close()
    with sqlite3.connect(tmp_path / NAME) as file:
        file.execute("INSERT INTO version VALUES (99)")
    file.close()
    with pytest.raises(ConfigError, match=r"its version is 99.*use the later Overtile"):
        open_ledger(tmp_path, region="town")


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"something else" * 1000)
    with pytest.raises(ConfigError, match="cannot be used as a ledger"):
        open_ledger(tmp_path, region="town")


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
    with holding_region(first, holder="process 7 on ship since noon") as prove:
        prove()
        with (
            pytest.raises(LockedError, match=r"region town .*process 7 on ship since noon"),
            holding_region(second, holder="process 8"),
        ):
            raise AssertionError
        with holding_region(Ledger(second.engine, "village"), holder="process 8"):
            pass
    with holding_region(second, holder="process 8"):
        pass
    first.close()
    second.close()


def test_a_holder_whose_connection_is_lost_knows_it_and_is_free(
    postgres: Server, tmp_path: Path
) -> None:
    url = postgres.database()
    first, second = (open_ledger(tmp_path, region="town", url=url) for _ in range(2))
    with holding_region(first, holder="process 7") as prove:
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        with pytest.raises(ExportError, match="connection that holds the region is lost"):
            prove()
        with holding_region(second, holder="process 8"):
            pass
    first.close()
    second.close()
