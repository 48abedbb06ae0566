"""Sinks outside of a region's folder: what fails there costs no run, and is made up for."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from pipeline.errors import ConfigError
from pipeline.regions.plan import plan_summary
from tests.regions.places import cut, go, ground, site_of, town

NOBODY = "postgresql://me:hush@127.0.0.1:1/maps"
SINK = "sinks: [{type: postgis, url_env: TOWN_POSTGIS, table: town}]\n"


def _rows(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT building_id, run_id FROM town").fetchall())


def test_a_sink_that_fails_costs_no_run_and_gets_the_layer_when_it_answers(
    tmp_path: Path, postgis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWN_POSTGIS", NOBODY)
    file = town(tmp_path, text=SINK)
    found = go(file)
    assert (found["state"], found["mapped"], found["failed"]) == ("done", 4, 0)
    assert "PostgreSQL at 127.0.0.1:1/maps" in found["faults"][0]
    assert "hush" not in json.dumps(found)
    assert json.loads((tmp_path / "out" / "current.json").read_text())["run"] == "000001"
    assert "127.0.0.1:1" in (tmp_path / "out" / "report.html").read_text("utf-8")
    # The next run maps nothing, and fills the table.
    monkeypatch.setenv("TOWN_POSTGIS", postgis)
    found = go(file)
    assert (found["mapped"], found["layer_built"], found["faults"]) == (0, False, [])
    (sink,) = found["sinks"]
    assert (sink["inserted"], set(_rows(postgis).values())) == (
        len(_rows(postgis)),
        {"town/000002"},
    )
    assert "sinks" not in go(file)
    # A later layer: one house fewer.
    cut(tmp_path / "scenes", "later", ground(without=7), row=0, col=0, when="20240601")
    (sink,) = go(file)["sinks"]
    assert (sink["removed"], sink["inserted"]) == (1, 0)


def test_a_table_of_another_region_is_left_alone(
    tmp_path: Path, postgis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWN_POSTGIS", postgis)
    assert go(town(tmp_path / "a", scenes=1, text=SINK))["faults"] == []
    before = _rows(postgis)
    other = town(tmp_path / "b", scenes=2, text=SINK)
    other.write_text(other.read_text().replace("name: town", "name: village"))
    (fault,) = go(other)["faults"]
    assert "table town holds the footprints of another region (run_id 'town/000001'" in fault
    assert "name another table" in fault
    assert _rows(postgis) == before


def test_a_variable_that_is_not_set_or_is_no_url_is_told_before_anything_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = town(tmp_path, scenes=1, text=SINK)
    monkeypatch.delenv("TOWN_POSTGIS", raising=False)
    for value, told in ((None, "TOWN_POSTGIS is not set"), ("maps", "cannot be read; write it as")):
        if value is not None:
            monkeypatch.setenv("TOWN_POSTGIS", value)
        with pytest.raises(ConfigError, match=told):
            go(file)
        assert not (tmp_path / "out").exists()
        plan = plan_summary(site_of(file), now=0.0)
        assert (plan["failed"], plan["counts"]) == (1, {"map": 1})
        assert "a run would end at once" in plan["faults"][0]
