"""A region's page after its runs: what the ledger says, and nothing that a layer depends on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.regions.report.status import lines, status
from tests.regions.places import Clock, cut, go, ground, site_of, town


def told(file: Path) -> dict[str, Any]:
    """Return the data of a region's page."""
    text = (file.parent / "out" / "report.html").read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_every_run_writes_a_page_of_scenes_failures_history_and_changes(tmp_path: Path) -> None:
    file, clock = town(tmp_path, text="policies: {error_budget: 1}\n"), Clock()
    first = go(file, clock)
    page = told(file)
    assert first["report"] == str(tmp_path / "out" / "report.html")
    assert [len(scene["rings"]) for scene in page["scenes"]] == [1, 1, 1, 1]
    assert (page["changes"], page["failures"], page["notes"]) == (None, [], [])
    # A house is gone; a file is broken; a source does not answer.
    clock.wait(days=7)
    cut(tmp_path / "scenes", "later", ground(without=7), row=0, col=0, when="20240601")
    (tmp_path / "scenes" / "bad.tif").write_bytes(b"no picture")
    text = file.read_text().replace("path: scenes}", "path: scenes}, {type: files, path: gone}")
    file.write_text(text)
    second = go(file, clock)
    page = told(file)
    assert [scene["state"] for scene in page["scenes"]].count("done") == 5
    (failure,) = page["failures"]
    assert failure["key"] == "scenes/bad.tif"
    assert "bad.tif" in failure["reason"]
    assert "gone" in page["notes"][0]
    assert page["changes"]["removed"] == second["changes"]["removed"]
    assert (page["changes"]["before"], page["changes"]["after"]) == ("1", "2")
    assert [kind for kind, *_ in page["map"]["changes"]] == ["removed"]
    # A run that changes nothing, and one that stops, are history too.
    clock.wait(days=100)
    go(file, clock)
    for at in range(3):
        (tmp_path / "scenes" / f"worse{at}.tif").write_bytes(f"no picture {at}".encode())
    assert go(file, clock)["state"] == "stopped"
    page = told(file)
    counts = [first["layer"]["footprints"], *[second["layer"]["footprints"]] * 3]
    assert [run["footprints"] for run in page["runs"]] == counts
    assert [run["removed"] for run in page["runs"]] == [None, 1, None, None]
    assert [run["state"] for run in page["runs"]] == ["done", "done", "done", "stopped"]
    assert page["runs"][3]["failed"] == 2
    assert page["changes"]["after"] == "2"
    assert page["written"] == "2024-08-21 02:30 UTC"


def test_the_status_names_the_page_once_there_is_one(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    assert status(site_of(file), now=Clock()())["report"] is None
    go(file)
    found = status(site_of(file), now=Clock()())
    assert found["report"] == str(tmp_path / "out" / "report.html")
    assert f"report    {found['report']}" in list(lines(found))
    # It is no part of a run: layers stay comparable file by file.
    assert not list((tmp_path / "out" / "runs").rglob("*.html"))
