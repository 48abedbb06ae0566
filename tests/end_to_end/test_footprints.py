"""The shipped buildings model on real ground: what separation must gain, and may cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from rasterio.windows import Window as Crop

from pipeline.evaluation.evaluate import Options, evaluate_scene
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes

pytestmark = [pytest.mark.data, pytest.mark.slow]


def crop(source: Path, place: Path, *, row: int, col: int, size: int) -> Path:
    """Write a square of a scene as a scene of its own."""
    with rasterio.open(source) as file:
        window = Crop(col, row, size, size)
        profile = {**file.profile, "height": size, "width": size}
        profile["transform"] = file.window_transform(window)
        with rasterio.open(place, "w", **profile) as target:
            target.write(file.read(window=window))
            target.colorinterp = file.colorinterp
    return place


def object_f1(scene: Path, truth: Path, out: Path, *, separate: bool) -> float:
    """Map and score a scene as the commands do; return F1 at IoU 0.5."""
    request = MapRequest(
        scenes=(str(scene),), out=out, executor="serial", device="cpu", separate=separate
    )
    (row,) = map_scenes(request, report=lambda _: None)["scenes"]
    folder = Path(row["folder"])
    report = evaluate_scene(folder, truth, out=folder, options=Options(scene=scene)).report
    return float(report["headline"]["f1"]["value"])


def test_a_dense_old_town_gains_a_fifth_by_separation(shared: Path, tmp_path: Path) -> None:
    train = shared / "buildings" / "train"
    scene = crop(train / "banepa_west.tif", tmp_path / "dense.tif", row=1024, col=1024, size=1024)
    together, apart = (
        object_f1(scene, train / "banepa_west.geojson", tmp_path / str(separate), separate=separate)
        for separate in (False, True)
    )
    assert apart >= together + 0.2


def test_where_hardly_anything_touches_little_is_lost(shared: Path, tmp_path: Path) -> None:
    place = shared / "buildings" / "val"
    together, apart = (
        object_f1(
            place / "zanzibar_tz_b_z19.tif",
            place / "zanzibar_tz_b.geojson",
            tmp_path / str(separate),
            separate=separate,
        )
        for separate in (False, True)
    )
    assert apart >= together - 0.03
