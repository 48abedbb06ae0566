"""Truth by the scene's name, slivers, and evaluations in which nothing can be compared."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image
from typer.testing import CliRunner

import pipeline.outputs.report
from pipeline.cli.__main__ import app
from pipeline.errors import ConfigError
from pipeline.evaluation.evaluate import evaluate_scene, reference_for
from pipeline.evaluation.predictions import open_predicted
from pipeline.scenes.names import slug
from tests.evaluation.test_evaluate import (
    LEFT,
    QUICK,
    TOP,
    drawn,
    geojson,
    guessed,
    raster,
    run_folder,
    town,
)

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def invoke(*words: Any) -> Any:
    """Return how the command ended."""
    return CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)])


@pytest.mark.parametrize("name", ["with space", "Straße (1)", "a&b,c", "plain"])
def test_truth_is_found_by_the_name_of_the_scenes_file(tmp_path: Path, name: str) -> None:
    houses = town()
    folder = run_folder(tmp_path / "runs" / slug(name), houses, *guessed(houses))
    references = tmp_path / "truths"
    references.mkdir()
    reference = geojson(references / f"{name}.geojson", houses)
    geojson(references / "another.geojson", houses[:3])
    assert reference_for(open_predicted(folder), references) == reference
    shutil.copy(reference, references / f"{slug(name)}.json")
    if slug(name) != name:
        # The folder's own name goes first.
        assert reference_for(open_predicted(folder), references).name == f"{slug(name)}.json"
    reference.unlink()
    (references / f"{slug(name)}.json").unlink()
    with pytest.raises(ConfigError, match="holds no file called"):
        reference_for(open_predicted(folder), references)


def test_slivers_are_left_out_of_both_sides_and_counted(tmp_path: Path) -> None:
    houses = town()
    # Between houses; pixels are 0.25 m2, three are smaller and one is larger.
    x, y = LEFT + 20.0 * np.arange(1, 5), np.full(4, TOP - 20.0)
    side = np.array([0.45, 0.4, 0.3, 0.6])
    *thin, kept = shapely.box(x, y, x + side, y + side)
    mask = raster(tmp_path / "mask.tif", drawn(houses))
    predicted = geojson(tmp_path / "mine.geojson", [*houses, *thin[:1]])
    reference = geojson(tmp_path / "truth.geojson", [*houses, *thin, kept])
    report = evaluate_scene(predicted, reference, options=replace(QUICK, scene=mask)).report
    (note,) = report["notes"]
    assert note == "1 prediction and 3 truths smaller than 0.25 m2 left out as slivers"
    objects = report["objects"]
    assert (objects["tp"], objects["fp"], objects["fn"]) == (100, 0, 1)


def test_single_pixels_of_masks_are_no_slivers(tmp_path: Path) -> None:
    pixels = drawn(town())
    pixels[0, ::7] = 1
    mask = raster(tmp_path / "mask.tif", pixels)
    report = evaluate_scene(mask, mask, options=QUICK).report
    assert report["notes"] == []
    assert report["headline"]["recall"]["value"] == 1
    assert report["objects"]["tp"] == 100 + len(range(0, pixels.shape[1], 7))


@pytest.mark.parametrize("what", ["nodata alone", "no truth", "both empty"])
def test_where_nothing_can_be_compared_the_command_fails(tmp_path: Path, what: str) -> None:
    houses = town()
    pixels = drawn(houses)
    mask = raster(tmp_path / "mask.tif", np.zeros_like(pixels) if what == "both empty" else pixels)
    reference = geojson(tmp_path / "truth.geojson", houses if what == "nodata alone" else [])
    if what == "nodata alone":
        mask = raster(tmp_path / "mask.tif", np.full_like(pixels, 255))
    ended = invoke(mask, "--truth", reference, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "nothing could be compared: no " in ended.stderr
    assert len(json.loads(ended.stdout)["failed"]) == 1
    assert (tmp_path / "out" / "report.json").exists()


def test_a_batch_fails_where_no_scene_can_be_compared(tmp_path: Path) -> None:
    for name, value in (("one", 0), ("two", 0), ("three", 255)):
        mask = np.zeros((30, 30), np.uint8)
        mask[:9, :9] = value
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    references = tmp_path / "truths"
    references.mkdir()
    for name in ("one", "two", "three"):
        shutil.copy(tmp_path / f"{name}.png", references)
    empty = [tmp_path / "one.png", tmp_path / "two.png"]
    assert invoke(*empty, "--truth", references, "--out", tmp_path / "a").exit_code == 1
    ended = invoke(*empty, tmp_path / "three.png", "--truth", references, "--out", tmp_path / "b")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["total"]["figures"]["recall"]["value"] == 1


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_pages_count_one_and_many() -> None:
    folder = Path(pipeline.outputs.report.__file__).parent / "assets"
    script = (folder / "dom.js").read_text(encoding="utf-8")
    lines = [
        line for line in script.splitlines() if line.startswith(("const known", "const whole"))
    ]
    lines += [line for line in script.splitlines() if line.startswith("const counted")]
    lines.append('console.log([0, 1, 2000].map((n) => counted(n, "true outline")).join("|"))')
    told = subprocess.run(
        ["node", "-e", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "0 true outlines|1 true outline|2,000 true outlines"
