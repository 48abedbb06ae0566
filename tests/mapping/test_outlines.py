"""Shapes in a run: the same in every file whatever the tiles, and what the task says of them."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray

from pipeline.config import Shape
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.mapping.outlines import FINEST, OutlineStage, outline_of
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning.request import MapRequest
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneInfo, SceneRef
from pipeline.validation.validate import check_file
from tests.mapping.scenery import NORTH_UP, UTM, run, write_scene

pytestmark = pytest.mark.mapping

SIZE = 300


def town(*, seed: int = 0, size: int = SIZE) -> NDArray[np.uint8]:
    """Bright turned houses with ragged edges on dark ground, some with a small hole."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] + 0.5
    bright = np.zeros((size, size), bool)
    for row in range(20, size, 40):
        for col in range(20, size, 40):
            angle = rng.uniform(0, np.pi)
            along = (x - col) * np.cos(angle) + (y - row) * np.sin(angle)
            across = (y - row) * np.cos(angle) - (x - col) * np.sin(angle)
            ragged = rng.uniform(-0.8, 0.8, bright.shape)
            house = (abs(along) + ragged < 14) & (abs(across) + ragged < 9)
            bright |= house & ((abs(along) > 1.2) | (abs(across) > 1.2))
    return np.where(bright, 230, 20).astype(np.uint8)


def task_of(folder: Path, shape: str) -> str:
    # A task is read once, by its path.
    path = folder / f"{zlib.crc32(shape.encode())}.yaml"
    path.write_text(f"name: roofs\nmodel: threshold\nmin_area_m2: 4\nshape: {shape}\n", "utf-8")
    return str(path)


def info_of(path: Path) -> SceneInfo:
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    try:
        return scene.info
    finally:
        scene.close()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "town.tif", town()[None])


@pytest.mark.parametrize("outline", ["pixels", "subpixel", "simplified", "regularised"])
def test_tiles_do_not_matter_and_all_files_are_sound(
    scene: Path, tmp_path: Path, outline: str
) -> None:
    task = task_of(tmp_path, f"{{outline: {outline}, min_hole_m2: 4}}")
    for tile in (64, 512):
        assert run(scene, tmp_path / str(tile), task=task, tile=tile)["failed"] == 0
    names = ["polygons.geojson", "polygons.parquet", "mask.tif"]
    for name in names:
        written = [(tmp_path / tile / "town" / name).read_bytes() for tile in ("64", "512")]
        assert written[0] == written[1]
        assert check_file(tmp_path / "64" / "town" / name) == []


def test_houses_get_right_angles_and_lose_small_holes(scene: Path, tmp_path: Path) -> None:
    raw = task_of(tmp_path, "{outline: pixels}")
    run(scene, tmp_path / "raw", task=raw, tile=128)
    shaped = task_of(tmp_path, "{outline: regularised, tolerance_m: 0.5, min_hole_m2: 4}")
    run(scene, tmp_path / "shaped", task=shaped, tile=128)
    before, after = (
        geopandas.read_parquet(tmp_path / name / "town" / "polygons.parquet")
        for name in ("raw", "shaped")
    )
    assert not before["regularised"].any()
    assert after["regularised"].mean() > 0.95
    assert len(before) == len(after) == (SIZE // 40) ** 2
    assert shapely.get_num_interior_rings(before.geometry.to_numpy()).sum() > 30
    assert shapely.get_num_interior_rings(after.geometry.to_numpy()).sum() == 0
    assert shapely.get_num_coordinates(after.geometry.to_numpy()).mean() < 7
    # 28 x 18 pixels of 0.3 m.
    assert after["perimeter_m"].median() == pytest.approx(2 * (28 + 18) * 0.3, rel=0.05)
    np.testing.assert_allclose(after["area_m2"], after.area, rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(after["perimeter_m"], after.length, rtol=1e-3, atol=0.01)
    assert (before["perimeter_m"] > after["perimeter_m"]).all()
    collection = json.loads((tmp_path / "shaped/town/polygons.geojson").read_text("utf-8"))
    for feature, row in zip(collection["features"], after.itertuples(), strict=True):
        assert feature["properties"]["regularised"] == row.regularised
        assert feature["properties"]["perimeter_m"] == row.perimeter_m


IN_PIXELS = (("crs", "none"),)


def test_outlines_of_a_scene_without_a_place_come_as_coco(scene: Path, tmp_path: Path) -> None:
    task = task_of(tmp_path, "{outline: regularised, min_hole_m2: 4}")
    assert run(scene, tmp_path / "out", task=task, scene_options=IN_PIXELS)["failed"] == 0
    written = tmp_path / "out" / "town" / "polygons.coco.json"
    assert check_file(written) == []
    annotations = json.loads(written.read_text("utf-8"))["annotations"]
    assert np.mean([each["regularised"] for each in annotations]) > 0.9
    assert np.median([each["perimeter_m"] for each in annotations]) == pytest.approx(92, rel=0.06)


def test_metres_in_a_scene_without_a_place_are_refused(scene: Path) -> None:
    info = replace(info_of(scene), georef=None)
    with pytest.raises(SceneError, match=r"tolerance_m 0\.5 is no length in it.*tolerance_px"):
        outline_of(Shape(outline="regularised", tolerance_m=0.5), info)


def test_metres_become_pixels_but_never_less_than_a_staircase(scene: Path) -> None:
    info = info_of(scene)
    for metres, pixels in ((0.6, 2.0), (3.0, 10.0), (0.1, FINEST)):
        found = outline_of(Shape(outline="regularised", tolerance_m=metres), info)
        assert found.rules.tolerance == pytest.approx(pixels, rel=2e-3)
    assert outline_of(Shape(outline="simplified", tolerance_px=3), info).rules.simplify == 3


def test_specks_have_no_say_and_small_holes_are_filled(scene: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:25, 5:25] = 1
    mask[8, 8] = 0  # 0.09 m2
    mask[12:18, 12:18] = 0  # 3.24 m2
    mask[30:33, 30:33] = 1  # 0.81 m2
    info = info_of(scene)
    kept: dict[float, Any] = {}
    for least in (0.0, 1.0, 4.0):
        shaping = OutlineStage(
            info=info,
            outline=outline_of(Shape(), info),
            min_area_m2=least,
            min_hole_m2=least,
        )
        shaping.add(trace(mask, mask))
        shaped = shaping.finish()
        kept[least] = shapely.get_num_interior_rings(shaped.polygons).tolist()
        assert shaped.fragments.pixels[0] == 400 - 1 - 36
    assert kept == {0.0: [2, 0], 1.0: [1], 4.0: [0]}


def test_ids_tell_scenes_and_shapes_apart(scene: Path, tmp_path: Path) -> None:
    other = write_scene(tmp_path / "other.tif", np.roll(town(), 1, axis=1)[None])
    ids = []
    for source, shape in ((scene, "pixels"), (scene, "regularised"), (other, "pixels")):
        out = tmp_path / f"{source.stem}-{shape}"
        run(source, out, task=task_of(tmp_path, f"{{outline: {shape}}}"), tile=128)
        ids.append(set(geopandas.read_parquet(out / source.stem / "polygons.parquet")["id"]))
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


def test_the_mask_is_not_shaped(scene: Path, tmp_path: Path) -> None:
    run(scene, tmp_path / "out", task=task_of(tmp_path, "{outline: regularised}"), tile=128)
    with rasterio.open(tmp_path / "out/town/mask.tif") as file:
        assert file.crs == UTM
        assert file.transform == NORTH_UP
        assert ((file.read(1) == 1) == (town() > 128)).mean() > 0.999


def test_what_touches_the_scenes_edge_says_so_though_its_outline_leaves_it(
    tmp_path: Path,
) -> None:
    pixels = np.full((1, 60, 60), 20, np.uint8)
    pixels[0, 20:40, 0:20] = 230
    # A single row touches; the wall that is drawn through it does not.
    pixels[0, 20:39, 0] = 20
    pixels[0, 20:40, 40:59] = 230
    scene = write_scene(tmp_path / "edge.tif", pixels)
    task = task_of(tmp_path, "{outline: regularised}")
    assert run(scene, tmp_path / "out", task=task)["failed"] == 0
    frame = geopandas.read_parquet(tmp_path / "out/edge/polygons.parquet")
    assert frame["touches_scene_edge"].tolist() == [True, False]
    assert frame["regularised"].all()
    assert frame.bounds["minx"].min() > NORTH_UP.c


def test_tiles_are_kept_for_other_shapes_but_for_those_that_need_more_of_them(
    scene: Path, tmp_path: Path
) -> None:
    core = Window(row=0, col=0, height=64, width=64)
    keys = []
    for shape in ("{}", "{outline: regularised}", "{min_iou: 0.9}", "{outline: subpixel}"):
        request = MapRequest(scenes=(str(scene),), out=tmp_path, task=task_of(tmp_path, shape))
        ref = find_scenes(request.scenes, {}).refs[0]
        keys.append(plan_scene(request, request.chosen_task, ref, "s").draft.key(core))
    assert keys[0] == keys[1] == keys[2] != keys[3]
