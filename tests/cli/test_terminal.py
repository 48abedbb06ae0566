"""At a terminal the last line says what was done and which file to open; a pipe gets JSON."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.__main__ import app
from pipeline.cli.terminal import demonstrated, evaluated, mapped, region_ran, trained
from tests.mapping.scenery import write_scene
from tests.regions.places import town
from tests.terminals import at_terminal

SETTINGS = ("--task", "bright", "--executor", "serial", "--device", "cpu")


def scene(path: Path, *, houses: int = 2) -> Path:
    pixels = np.zeros((1, 96, 128), np.uint8)
    for at in range(houses):
        pixels[0, 10:30, 30 * at + 4 : 30 * at + 24] = 220
    return write_scene(path, pixels)


def test_one_scene_ends_with_the_file_to_open(tmp_path: Path) -> None:
    path, out = scene(tmp_path / "with space.tif"), tmp_path / "out"
    words = ("map", path, "--out", out, *SETTINGS, "--format", "parquet", "--format", "gpkg")
    found = f"2 polygons; open {out}/with_space/polygons.gpkg"
    shown = at_terminal(*words)
    assert shown.code == 0
    assert shown.lines == [f"mapped 1 scene: {found}"]
    assert Path(shown.lines[-1].split("; open ")[1]).is_file()
    # The same command again maps nothing, and says so.
    assert at_terminal(*words).lines == [f"mapped 1 scene (earlier): {found}"]
    # --json and a pipe get the same, byte for byte.
    asked = at_terminal(*words, "--json")
    piped = CliRunner().invoke(app, [str(word) for word in words])
    assert asked.lines == piped.stdout.splitlines()
    assert json.loads(piped.stdout)["scenes"][0]["state"] == "unchanged"


def test_several_scenes_end_with_counts_and_the_folder(tmp_path: Path) -> None:
    one, other = scene(tmp_path / "a.tif"), scene(tmp_path / "b.tif", houses=3)
    (tmp_path / "c.tif").write_bytes(one.read_bytes()[:300])
    out = tmp_path / "out"
    assert at_terminal("map", one, "--out", out, *SETTINGS).code == 0
    shown = at_terminal("map", one, other, tmp_path / "c.tif", "--out", out, *SETTINGS)
    assert shown.code == 3
    assert shown.lines == [f"mapped 2 scenes (1 of them earlier), 1 failed: 5 polygons; open {out}"]
    shown = at_terminal("map", tmp_path / "c.tif", "--out", out, *SETTINGS)
    assert (shown.code, shown.lines) == (3, ["mapped 0 scenes, 1 failed"])


def test_a_dry_run_shows_costs_and_then_what_would_be_done(tmp_path: Path) -> None:
    words = ("map", scene(tmp_path / "a.tif"), "--out", tmp_path / "out", *SETTINGS, "--dry-run")
    shown = at_terminal(*words)
    assert shown.lines[-1] == "1 scene would be mapped; nothing written"
    assert json.loads("\n".join(shown.lines[:-1]))["scenes"][0]["state"] == "ready"
    piped = CliRunner().invoke(app, [str(word) for word in words])
    assert at_terminal(*words, "--json").lines == piped.stdout.splitlines() == shown.lines[:-1]


def test_evaluate_and_check_end_with_what_was_compared_and_checked(tmp_path: Path) -> None:
    path, out = scene(tmp_path / "a.tif"), tmp_path / "out"
    # Truth given to `map`: its report is what to open.
    first = at_terminal("map", path, "--out", tmp_path / "first", *SETTINGS)
    truth = tmp_path / "first" / "a" / "polygons.geojson"
    assert first.lines[-1].endswith(f"open {truth}")
    shown = at_terminal("map", path, "--out", out, *SETTINGS, "--truth", truth)
    assert shown.lines == [f"mapped 1 scene: 2 polygons; open {out}/a/report.html"]

    words = ("evaluate", out / "a", "--truth", truth, "--out", tmp_path / "report")
    shown = at_terminal(*words)
    assert shown.lines[-1] == (
        f"compared a with the truth: F1 1.00, precision 1.00, recall 1.00; "
        f"open {tmp_path}/report/report.html"
    )
    several = ("evaluate", out / "a", truth, "--truth", truth, "--out", tmp_path / "both")
    assert at_terminal(*several).lines[-1] == (
        f"compared 2 predictions with the truth: {out}/a F1 1.00, {truth} F1 1.00; "
        f"open {tmp_path}/both/summary.html"
    )
    assert json.loads("".join(at_terminal(*words, "--json").lines))["scene"] == "a"
    check = ("check", out / "a")
    piped = CliRunner().invoke(app, [str(word) for word in check])
    assert at_terminal(*check, "--json").lines == piped.stdout.splitlines()

    count = json.loads(piped.stdout)["checked"]
    assert at_terminal("check", out / "a").lines == [f"checked {count} files: all valid"]
    (out / "a" / "polygons.geojson").write_text("{")  # the item knows its size and checksum
    shown = at_terminal("check", out / "a")
    assert (shown.code, shown.lines) == (1, [f"checked {count} files: 2 not valid, 3 faults above"])


def test_a_region_ends_with_its_report(tmp_path: Path) -> None:
    file = town(tmp_path / "town", scenes=2)
    shown = at_terminal("region", "run", file)
    (line,) = shown.lines
    assert line.startswith("mapped 2 scenes of town; ")
    assert line.endswith(f" footprints in the layer; open {tmp_path}/town/out/report.html")
    (line,) = at_terminal("region", "run", file).lines
    assert line == f"mapped 0 scenes of town, 2 unchanged; open {tmp_path}/town/out/report.html"
    assert json.loads("".join(at_terminal("region", "run", file, "--json").lines))["run"] == 3


def row(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    """Return a row of a summary, and write the manifest that it stands for."""
    (folder / name).mkdir(parents=True)
    pixels = {"background": 1, **more.pop("pixels", {"building": 1}), "nodata": 0}
    outputs: dict[str, Any] = {key: {} for key in more.pop("outputs", ["polygons.fgb"])}
    (folder / name / "run.json").write_text(json.dumps({"pixels": pixels, "outputs": outputs}))
    known = {"state": "done", "folder": str(folder / name), "polygons": 1, "tiles_failed": 0}
    return known | more


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"polygons": 1}, "mapped 1 scene: 1 building; open {0}/s/polygons.fgb"),
        ({"polygons": 21_400}, "mapped 1 scene: 21,400 buildings; open {0}/s/polygons.fgb"),
        (
            {"polygons": 3, "pixels": {"building": 1, "tank": 0}, "outputs": ["polygons.pmtiles"]},
            "mapped 1 scene: 3 polygons; open {0}/s/polygons.pmtiles",
        ),
        # Pixels alone: the picture says most.
        (
            {"polygons": 0, "outputs": ["polygons.coco.json", "quicklook.png", "mask.tif"]},
            "mapped 1 scene: 0 buildings; open {0}/s/quicklook.png",
        ),
        (
            {"tiles_failed": 2, "unscored": "none"},
            "mapped 1 scene, 1 with failed tiles, 1 not scored: 1 building; "
            "open {0}/s/polygons.fgb",
        ),
    ],
)
def test_the_line_says_what_there_is(tmp_path: Path, given: dict[str, Any], expected: str) -> None:
    summary = {"out": str(tmp_path), "scenes": [row(tmp_path, "s", **given)]}
    assert list(mapped(summary)) == [expected.format(tmp_path)]


def test_what_was_not_reached_is_counted(tmp_path: Path) -> None:
    rows = [row(tmp_path, "s"), {"state": "stopped", "scene": "t"}]
    summary = {"out": str(tmp_path), "scenes": rows, "stopped": "the scheduler is gone"}
    (line,) = mapped(summary)
    assert line == f"mapped 1 scene, 1 not reached: 1 building; open {tmp_path}"


def test_figures_that_do_not_exist_have_their_reason() -> None:
    none = {"value": None, "reason": "no truth"}
    headline = {"f1": none, "precision": none, "recall": none}
    summary = {"scene": "s", "notes": ["a note"], "headline": headline, "report": "r.html"}
    lines = list(evaluated(summary))
    assert lines == ["a note", "compared s with the truth: no F1 (no truth); open r.html"]


def test_trainings_demos_and_stopped_regions(tmp_path: Path) -> None:
    summary = {"steps": 1, "hours": 0.25, "model": "m/model"}
    assert list(trained(summary, tmp_path)) == [
        "trained 1 step in 0.25 h: map with --model m/model"
    ]
    (tmp_path / "test.html").touch()
    (line,) = trained(summary, tmp_path)
    assert line.endswith(f"--model m/model; open {tmp_path}/test.html")
    demo = row(tmp_path, "demo", polygons=2) | {"f1": 0.876, "picture": "demo.png"}
    (line,) = demonstrated(demo)
    assert line == "mapped the demo's scene: 2 buildings, F1 0.88; open demo.png"
    (line,) = demonstrated({"picture": None, "reason": "disk full"})
    assert line == "the demo's scene failed: disk full"
    stopped = {"region": "t", "run": 2, "state": "stopped", "mapped": 1, "failed": 3}
    (line,) = region_ran(stopped | {"faults": ["a", "b"], "report": "r.html"})
    assert line == "mapped 1 scene of t, 3 failed, 2 faults; the layer stays as it was; open r.html"
    (line,) = region_ran({"region": "t", "mapped": 1, "unchanged": 0, "failed": 0})
    assert line == "mapped 1 scene of t; the next whole run updates the layer"


@pytest.mark.slow
def test_a_command_of_its_own_sees_the_terminal(tmp_path: Path) -> None:
    path = scene(tmp_path / "a\x1b[2Jb.tif")
    words = ("map", str(path), "--out", str(tmp_path / "out"), *SETTINGS)
    pid, handle = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.cli", *words])
    read = bytearray()
    while True:
        try:
            some = os.read(handle, 65536)
        except OSError:
            break
        if not some:
            break
        read += some
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(handle)
    lines = read.decode().split("\r\n")
    assert lines[-1] == ""
    # Progress before it is on the same screen, and shows the cursor again at its end.
    assert "mapped 1 scene: 2 polygons; open " in lines[-2]
    assert "100 %" in "".join(lines[:-2])
    # A name cannot clear the screen.
    assert "\x1b[2J" not in read.decode()
