"""A picture with a world file is mapped as the GeoTIFF of the same pixels and place is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import CRS

from pipeline.labels.formats.raster import open_labels, trace_label_raster
from tests.mapping.scenery import NORTH_UP, UTM, blobs, on_map, run, write_scene

CASES = Path(__file__).resolve().parents[2].parent / "shared/data/cases"


def world(path: Path) -> None:
    """Write the world file of the scenes of these tests, and their reference system."""
    a, b, c, d, e, f = tuple(NORTH_UP)[:6]
    numbers = (a, d, b, e, c + a / 2 + b / 2, f + d / 2 + e / 2)
    path.with_suffix(".pgw").write_text("\n".join(map(str, numbers)) + "\n")
    path.with_suffix(".prj").write_text(CRS(UTM).to_wkt("WKT1_ESRI"))


def test_outputs_are_those_of_the_geotiff(tmp_path: Path) -> None:
    pixels = blobs(3, height=90, width=120)
    tiff = write_scene(tmp_path / "s.tif", pixels[None])
    Image.fromarray(pixels).save(tmp_path / "s.png")
    world(tmp_path / "s.png")
    rows = [
        run(path, tmp_path / path.suffix[1:])["scenes"][0] for path in (tiff, tmp_path / "s.png")
    ]
    assert rows[0]["polygons"] == rows[1]["polygons"] > 3
    folders = [Path(row["folder"]) for row in rows]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    masks = []
    for folder in folders:
        with rasterio.open(folder / "mask.tif") as file:
            masks.append((file.read(1), tuple(file.transform), file.crs.to_wkt()))
    np.testing.assert_array_equal(masks[0][0], masks[1][0])
    assert masks[0][1] == pytest.approx(masks[1][1])
    assert CRS(masks[0][2]).equals(CRS(masks[1][2]), ignore_axis_order=True)
    drawn = [json.loads((folder / "polygons.geojson").read_text("utf-8")) for folder in folders]
    places = [[one["geometry"] for one in found["features"]] for found in drawn]
    assert places[0] == places[1]


def test_label_rasters_lie_where_their_world_file_says(tmp_path: Path) -> None:
    labels = np.zeros((50, 60), np.uint8)
    labels[10:20, 10:30] = 1
    path = tmp_path / "truth.png"
    Image.fromarray(labels).save(path)
    assert trace_label_raster(path).crs is None
    world(path)
    found = trace_label_raster(path)
    assert found.crs is not None
    assert found.crs.to_epsg() == 32645
    left, top = on_map(NORTH_UP, (10, 10))
    right, bottom = on_map(NORTH_UP, (30, 20))
    assert found.polygon[0].bounds == pytest.approx((left, bottom, right, top))
    # One that is damaged is no fault of labels, which may lie on the scene's own pixels.
    path.with_suffix(".pgw").write_text("nan")
    assert open_labels(path).info.georef is None


@pytest.mark.data
@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/data/cases is not here")
@pytest.mark.parametrize("name", ["w.png", "j.jpg"])
def test_the_case_of_pictures_with_world_files(tmp_path: Path, name: str) -> None:
    scene = CASES / "15-png-worldfile" / name
    options = (("crs", "EPSG:32651"),)
    (row,) = run(scene, tmp_path / "o", scene_options=options)["scenes"]
    folder = Path(row["folder"])
    assert {"polygons.geojson", "polygons.parquet", "mask.tif"} <= {
        p.name for p in folder.iterdir()
    }
    with rasterio.open(folder / "mask.tif") as file:
        assert file.crs.to_epsg() == 32651
        assert tuple(file.transform)[:6] == pytest.approx((0.3, 0, 4e5, 0, -0.3, 1.5e6))
    (row,) = run(scene, tmp_path / "p")["scenes"]
    assert any("names its reference system" in text for text in row["warnings"])
