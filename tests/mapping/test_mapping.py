from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.outputs.vectors.formats import FORMATS, file_name
from pipeline.validation.validate import CHECKS, check_file
from tests.mapping.scenery import NORTH_UP, band, blobs, contents, regions, run, write_scene
from tests.strategies import examples

pytestmark = pytest.mark.mapping

PIXELS = ("mask.tif", "probability.tif", "polygons.geojson", "polygons.parquet")


@pytest.fixture(scope="module")
def gdal() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        yield process


def polygonized(
    gdal: ProcessPoolExecutor, mask: np.ndarray, probability: np.ndarray
) -> dict[bytes, tuple[int, float]]:
    """Return pixels and mean probability of each region of a whole mask, by geometry."""
    found = {}
    for region in gdal.submit(regions, mask).result():
        polygon = shapely.geometry.shape(region)
        inside = rasterio.features.rasterize([polygon], out_shape=mask.shape).astype(bool)
        assert (mask[inside] == 1).all()
        found[normal(polygon)] = (int(inside.sum()), float(probability[inside].mean() / 250))
    return found


def normal(polygon: shapely.geometry.base.BaseGeometry) -> bytes:
    """Return a geometry without what does not matter: where rings begin, corners between."""
    return bytes(shapely.to_wkb(shapely.normalize(shapely.simplify(polygon, 0))))


def on_pixels(path: Path) -> Any:
    """Return polygons with whole pixels of the scene as coordinates."""
    frame = geopandas.read_parquet(path).to_crs("EPSG:32645")
    away = ~NORTH_UP
    back = [away.a, away.b, away.d, away.e, away.c, away.f]
    frame["geometry"] = frame.geometry.affine_transform(back)
    frame["geometry"] = shapely.transform(frame.geometry.to_numpy(), np.rint)
    return frame


@settings(max_examples=examples(12), phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(20, 150),
    width=st.integers(20, 150),
    tile=st.integers(8, 70),
    size=st.integers(1, 40),
)
def test_polygons_are_those_of_the_whole_mask(
    gdal: ProcessPoolExecutor,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    height: int,
    width: int,
    tile: int,
    size: int,
) -> None:
    place = tmp_path_factory.mktemp("whole")
    pixels = blobs(seed, height=height, width=width, size=size)
    scene = write_scene(place / "s.tif", pixels[None])
    row = run(scene, place / "out", tile=tile)["scenes"][0]
    folder = place / "out" / "s"
    mask, probability = band(folder / "mask.tif"), band(folder / "probability.tif")
    np.testing.assert_array_equal(mask, pixels >= 0.5 * 255)
    expected = polygonized(gdal, mask, probability)
    found = on_pixels(folder / "polygons.parquet")
    assert row["polygons"] == len(found) == len(expected)
    for polygon, confidence, area in zip(
        found.geometry, found["confidence"], found["area_m2"], strict=True
    ):
        count, mean = expected.pop(normal(polygon))
        assert confidence == pytest.approx(mean, abs=6e-4)
        assert area == pytest.approx(count * 0.09, rel=2e-3)
    assert not expected


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "town.tif", blobs(1, height=300, width=401)[None])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Path:
    out = tmp_path_factory.mktemp("reference")
    run(scene, out, tile=64)
    return out / "town"


@pytest.mark.filterwarnings("ignore:Port 8787 is already in use")
def test_threads_leave_the_bytes_of_the_serial_run(
    tmp_path: Path, scene: Path, reference: Path
) -> None:
    run(scene, tmp_path, tile=64, executor="local")
    assert contents(tmp_path / "town") == contents(reference)


@pytest.mark.parametrize("tile", [33, 100, 1000, None])
def test_pixels_and_polygons_do_not_depend_on_the_tile(
    tmp_path: Path, scene: Path, reference: Path, tile: int | None
) -> None:
    run(scene, tmp_path, tile=tile)
    for name in PIXELS:
        assert (tmp_path / "town" / name).read_bytes() == (reference / name).read_bytes(), name


def test_outputs_are_those_promised_and_nothing_is_left_beside_them(
    tmp_path: Path, scene: Path
) -> None:
    summary = run(scene, tmp_path, tile=64)
    assert {path.name for path in (tmp_path / "town").iterdir()} == {
        *PIXELS,
        "mask.qml",
        "polygons.qml",
        "item.json",
        "run.json",
        "log.jsonl",
        "quicklook.png",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"town", ".overtile.lock"}
    assert summary["failed"] == 0
    log = [
        json.loads(line) for line in (tmp_path / "town" / "log.jsonl").read_text().split("\n")[:-1]
    ]
    assert sorted(entry["tile"] for entry in log if "tile" in entry) == list(range(5 * 7))


def test_every_format_that_is_asked_for_is_written_and_catalogued(
    tmp_path: Path, scene: Path, reference: Path
) -> None:
    wanted = tuple(reversed(FORMATS))
    row = run(scene, tmp_path, tile=64, formats=wanted)["scenes"][0]
    folder = tmp_path / "town"
    assert {path.name for path in folder.glob("polygons.*")} == {
        "polygons.qml",
        *map(file_name, FORMATS),
    }
    for name in PIXELS:
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    checked = [path for path in folder.iterdir() if path.suffix in CHECKS]
    assert {path.name: check_file(path) for path in checked} == {path.name: [] for path in checked}
    layers = [geopandas.read_file(folder / f"polygons.{name}", layer=0) for name in ("fgb", "gpkg")]
    assert [len(layer) for layer in layers] == [row["polygons"]] * 2
    assert json.loads((folder / "item.json").read_text())["assets"]["flatgeobuf"]["type"] == (
        "application/vnd.flatgeobuf"
    )
    refused = run(scene, tmp_path, tile=64)["scenes"][0]
    assert refused["state"] == "failed"
    assert "other formats" in refused["reason"]


def test_a_second_run_of_the_same_plan_computes_nothing(
    tmp_path: Path, scene: Path, reference: Path
) -> None:
    shutil.copytree(reference, tmp_path / "town")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "town").iterdir()}
    row = run(scene, tmp_path, tile=64)["scenes"][0]
    assert row["state"] == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "town").iterdir()} == before


@pytest.mark.parametrize("name", [*PIXELS, "item.json", "quicklook.png", "mask.qml"])
@pytest.mark.parametrize("how", ["edited", "deleted"])
def test_an_output_that_was_touched_is_made_again(
    tmp_path: Path, scene: Path, reference: Path, name: str, how: str
) -> None:
    shutil.copytree(reference, tmp_path / "town")
    touched = tmp_path / "town" / name
    if how == "edited":
        touched.write_bytes(touched.read_bytes()[:-1] + b"!")
    else:
        touched.unlink()
    row = run(scene, tmp_path, tile=64)["scenes"][0]
    assert row["state"] == "done"
    assert contents(tmp_path / "town") == contents(reference)


def test_a_manifest_that_was_edited_is_made_again(
    tmp_path: Path, scene: Path, reference: Path
) -> None:
    shutil.copytree(reference, tmp_path / "town")
    manifest = tmp_path / "town" / "run.json"
    manifest.write_text(manifest.read_text().replace('"written"', '"written "'))
    run(scene, tmp_path, tile=64)
    assert contents(tmp_path / "town") == contents(reference)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threshold": 0.7}, "threshold"),
        ({"values": (0.0, 100.0)}, "stretch"),
        ({"scene_options": (("datetime", "2024-01-01"),)}, "options"),
    ],
)
def test_a_folder_of_another_plan_is_not_mixed_into(
    tmp_path: Path, scene: Path, reference: Path, change: dict[str, Any], told: str
) -> None:
    shutil.copytree(reference, tmp_path / "town")
    before = contents(tmp_path / "town")
    summary = run(scene, tmp_path, tile=64, **change)
    assert summary["failed"] == 1
    assert re.search(f"another plan .*{told}", summary["scenes"][0]["reason"])
    assert contents(tmp_path / "town") == before


def test_a_scene_that_changed_is_another_plan(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", blobs(1, height=50, width=50)[None])
    run(path, tmp_path / "out")
    write_scene(path, blobs(2, height=50, width=50)[None])
    (row,) = run(path, tmp_path / "out")["scenes"]
    assert re.search(r"another plan .*scene", row["reason"])


def test_a_folder_of_another_plan_does_not_stop_the_others(tmp_path: Path) -> None:
    first = write_scene(tmp_path / "a.tif", blobs(1, height=50, width=50)[None])
    second = write_scene(tmp_path / "b.tif", blobs(2, height=50, width=50)[None])
    run(first, tmp_path / "out")
    summary = run((first, second), tmp_path / "out", values=(0.0, 100.0))
    assert [row["state"] for row in summary["scenes"]] == ["failed", "done"]
    assert summary["failed"] == 1


def test_a_folder_of_someone_else_is_not_written_to(tmp_path: Path, scene: Path) -> None:
    (tmp_path / "town").mkdir()
    (tmp_path / "town" / "thesis.txt").write_text("mine")
    (row,) = run(scene, tmp_path)["scenes"]
    assert "holds other files" in row["reason"]
    assert (tmp_path / "town" / "thesis.txt").read_text() == "mine"


def test_someone_elses_file_among_the_outputs_is_kept(
    tmp_path: Path, scene: Path, reference: Path
) -> None:
    shutil.copytree(reference, tmp_path / "town")
    (tmp_path / "town" / "notes.txt").write_text("mine")
    (tmp_path / "town" / "mask.tif").unlink()
    run(scene, tmp_path, tile=64)
    assert contents(tmp_path / "town").keys() == {*contents(reference), "notes.txt"}
    assert (tmp_path / "town" / "notes.txt").read_text() == "mine"


def test_scenes_of_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    places = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        pixels = blobs(number, height=40, width=50)[None]
        places.append(write_scene(tmp_path / str(number) / "s.tif", pixels))
    summary = run((places[0], places[1]), tmp_path / "out")
    folders = [Path(row["folder"]) for row in summary["scenes"]]
    assert len(set(folders)) == 2
    assert all(folder.name.startswith("s_") for folder in folders)
    for number, folder in zip((1, 2), folders, strict=True):
        expected = blobs(number, height=40, width=50) >= 127.5
        np.testing.assert_array_equal(band(folder / "mask.tif"), expected)


def test_a_bad_scene_does_not_keep_the_others(tmp_path: Path) -> None:
    good = write_scene(tmp_path / "good.tif", blobs(1, height=40, width=50)[None])
    also = write_scene(tmp_path / "also.tif", blobs(2, height=40, width=50)[None])
    bad = tmp_path / "bad.tif"
    bad.write_bytes(good.read_bytes()[:200])
    summary = run((good, bad, also), tmp_path / "out")
    assert [row["state"] for row in summary["scenes"]] == ["done", "failed", "done"]
    assert "bad.tif" in summary["scenes"][1]["reason"]
    assert summary["failed"] == 1
    assert not (tmp_path / "out" / "bad").exists()


def test_a_picture_without_a_place_gets_polygons_in_pixels(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.zeros((60, 80), np.uint8)
    pixels[10:20, 30:50] = 250
    Image.fromarray(pixels).save(tmp_path / "p.png")
    run(tmp_path / "p.png", tmp_path / "out", tile=16)
    folder = tmp_path / "out" / "p"
    assert not (folder / "polygons.geojson").exists()
    coco = json.loads((folder / "polygons.coco.json").read_text())
    (only,) = coco["annotations"]
    assert only["bbox"] == [30, 10, 20, 10]
    assert only["area"] == 200
