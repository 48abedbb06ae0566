"""A JPEG 2000 written without loss is mapped as the GeoTIFF of the same pixels is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline.scenes.access.location import content_digest
from tests.jpeg2000 import write_jp2
from tests.mapping.scenery import NORTH_UP, UTM, blobs, contents, run, write_scene

pytestmark = pytest.mark.mapping

CASE = Path(__file__).resolve().parents[2].parent / "shared/data/cases/11-formats-refused"
RASTERS = ("mask.tif", "probability.tif", "quicklook.png")


def jp2(path: Path, pixels: np.ndarray, **options: str) -> Path:
    """Write a JPEG 2000 where the scenes of these tests lie."""
    return write_jp2(path, pixels, crs=UTM, transform=NORTH_UP, **options)


@pytest.mark.parametrize(
    ("options", "depth"), [({}, 1), ({"BLOCKXSIZE": "64", "BLOCKYSIZE": "64"}, 1), ({}, 13)]
)
def test_outputs_are_those_of_the_geotiff(
    tmp_path: Path, options: dict[str, str], depth: int
) -> None:
    pixels = blobs(3, height=150, width=180)[None]
    if depth > 1:
        pixels = pixels.astype(np.uint16) * np.uint16(depth)
    scenes = write_scene(tmp_path / "s.tif", pixels), jp2(tmp_path / "s.jp2", pixels, **options)
    found = []
    for scene in scenes:
        (row,) = run(scene, tmp_path / scene.suffix[1:], tile=96)["scenes"]
        assert row["polygons"] > 3
        folder = Path(row["folder"])
        drawn = json.loads((folder / "polygons.geojson").read_text("utf-8"))["features"]
        # Ids and a tag of the rasters are made of the file's content, which is another.
        polygons = [
            [one["geometry"], {**one["properties"], "id": None}, one.get("bbox")] for one in drawn
        ]
        digest = content_digest(str(scene)).removeprefix("sha256:").encode()
        files = contents(folder)
        rasters = [files[name].replace(digest, b"") for name in RASTERS]
        found.append((sorted(files), polygons, rasters))
    assert found[0] == found[1]


@pytest.mark.data
@pytest.mark.skipif(not CASE.is_dir(), reason="../shared/data/cases is not here")
def test_the_case_of_a_jpeg_2000(tmp_path: Path) -> None:
    (row,) = run(CASE / "scene.jp2", tmp_path / "o")["scenes"]
    assert row["state"] == "done"
    with (
        rasterio.open(Path(row["folder"]) / "mask.tif") as mask,
        rasterio.open(CASE / "scene.jp2") as scene,
    ):
        assert (mask.shape, mask.crs, mask.transform) == (scene.shape, scene.crs, scene.transform)
