"""Truth that does not fit its prediction is told, or refused, and never scored in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.transform import Affine

from pipeline.errors import ConfigError
from pipeline.evaluation.evaluate import evaluate_scene
from tests.evaluation.test_evaluate import (
    LEFT,
    QUICK,
    SIDE,
    STEP,
    TOP,
    drawn,
    geojson,
    raster,
    town,
)

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def test_outside_a_label_raster_nothing_counts(tmp_path: Path) -> None:
    pixels = drawn(town())
    mask = raster(tmp_path / "mask.tif", pixels)
    half = tmp_path / "half.tif"
    with rasterio.open(
        half,
        "w",
        driver="GTiff",
        height=SIDE // 2,
        width=SIDE,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=Affine(STEP, 0, LEFT, 0, -STEP, TOP),
    ) as file:
        file.write(pixels[: SIDE // 2], 1)
    report = evaluate_scene(mask, half, options=QUICK).report
    assert report["evaluated"]["pixels"] == SIDE * SIDE // 2
    assert (report["objects"]["fp"], report["objects"]["fn"]) == (0, 0)
    assert report["pixels"]["all"]["fp"] == 0
    assert "covers 50% of the scene" in report["notes"][0]


def test_pixels_without_a_place_are_not_laid_upon_degrees(tmp_path: Path) -> None:
    placed = geojson(tmp_path / "placed.geojson", town(), confidence=[0.5] * 100)
    Image.fromarray(drawn(town()) * 255).save(tmp_path / "labels.png")
    with pytest.raises(ConfigError, match=r"it is in pixels, but .* with --scene"):
        evaluate_scene(placed, tmp_path / "labels.png", options=QUICK)


@pytest.mark.parametrize(("east", "north"), [(3.0, 0.0), (-4.0, 2.5)])
def test_an_offset_that_all_share_is_told(tmp_path: Path, east: float, north: float) -> None:
    reference = geojson(tmp_path / "truth.geojson", town())
    away = shapely.transform(town(), lambda xy: xy + np.array([east, north]))
    report = evaluate_scene(
        geojson(tmp_path / "mine.geojson", away), reference, options=QUICK
    ).report
    (note,) = report["notes"]
    assert f"{abs(east):.1f} m {'east' if east > 0 else 'west'}" in note
    assert ("2.5 m north" in note) == bool(north)
    assert "0.0 m" not in note
    if report["objects"]["tp"]:
        assert report["outlines"]["offset_x"]["median"] == pytest.approx(east, abs=0.1)
        assert report["outlines"]["offset_y"]["median"] == pytest.approx(north, abs=0.1)


def test_truth_in_another_place_is_told_with_the_way_there(tmp_path: Path) -> None:
    mask = raster(tmp_path / "mask.tif", drawn(town()))
    away = shapely.transform(town(), lambda xy: xy + np.array([25_000, 0]))
    reference = geojson(tmp_path / "truth.geojson", away)
    (note,) = evaluate_scene(mask, reference, options=QUICK).report["notes"]
    assert "no truth inside the scene: 100 true polygons, all elsewhere, 25 km away" in note
    assert "around longitude 15.3" in note
    beside = shapely.transform(town(), lambda xy: xy + np.array([0.0, 0.0]))[:1]
    (tmp_path / "one").mkdir()
    far = geojson(tmp_path / "one" / "mine.geojson", town()[60:61])
    found = evaluate_scene(far, geojson(tmp_path / "beside.geojson", beside), options=QUICK)
    assert "not one prediction touches a truth" in json.dumps(found.report["notes"])
