"""One rule for the values of masks: predictions, truth and training labels are read alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import SceneError
from pipeline.evaluation.evaluate import Options, evaluate_scene
from pipeline.labels.formats.raster import open_labels, trace_label_raster
from pipeline.labels.values import Meaning, block_values, decide_meaning, meaning_of, usable_nodata
from pipeline.training.config import PlaceConfig
from pipeline.training.data.sources.labels import read_place_labels as read_training_labels
from pipeline.training.data.sources.rasters import SceneGrid
from tests.labels.test_raster import tif
from tests.strategies import examples

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
QUICK = Options(intervals=False)


def meaning(numbers: list[float], nodata: float | None, dtype: str = "uint8") -> Meaning:
    """Return what the values of a raster mean that holds each of them once."""
    pixels = np.array([numbers], dtype)
    declared = usable_nodata(nodata, dtype)
    valid = pixels != declared if declared is not None else np.ones(pixels.shape, bool)
    return decide_meaning(block_values(pixels, valid, declared), nodata=declared)


TABLE: list[tuple[list[float], float | None, str, list[int]]] = [
    ([0, 1], None, "uint8", [0, 1]),
    ([0, 1], 0, "uint8", [0, 1]),
    ([0, 1], 255, "uint8", [0, 1]),
    ([0, 1], 1, "uint8", [0, 1]),
    ([0, 255], None, "uint8", [0, 1]),
    ([0, 255], 0, "uint8", [0, 1]),
    ([0, 255], 255, "uint8", [0, 1]),
    ([0, 255], 7, "uint8", [0, 1]),
    ([0, 255], -9999, "uint8", [0, 1]),
    ([0, 1, 255], None, "uint8", [0, 1, 255]),
    ([0, 1, 255], 0, "uint8", [0, 1, 255]),
    ([0, 1, 255], 255, "uint8", [0, 1, 255]),
    ([0, 1, 255], 1, "uint8", [0, 255, 1]),
    ([0, 128, 255], None, "uint8", [0, 128, 255]),
    ([0, 128, 255], 128, "uint8", [0, 255, 1]),
    ([1, 2], None, "uint8", [1, 2]),
    ([1, 2], 1, "uint8", [0, 2]),
    ([1, 2], 2, "uint8", [1, 0]),
    ([1, 255], 255, "uint8", [1, 0]),
    ([1, 255], None, "uint8", [1, 255]),
    ([255], None, "uint8", [1]),
    ([255], 255, "uint8", [255]),
    ([0], None, "uint8", [0]),
    ([0], 0, "uint8", [0]),
    ([0, 1, 2, 3], 255, "uint8", [0, 1, 2, 3]),
    ([0, 65535], None, "uint16", [0, 1]),
    ([0, 65535], 0, "uint16", [0, 1]),
    ([0, 1, 65535], None, "uint16", [0, 1, 255]),
    ([0, 255], None, "int32", [0, 1]),
    ([0, 1, -9999], -9999, "float32", [0, 1, 255]),
    ([0, -9999], -9999, "float32", [0, 255]),
    ([0, 1, np.nan], None, "float32", [0, 1, 255]),
    ([1, np.nan], np.nan, "float64", [1, 0]),
]


@pytest.mark.parametrize(("numbers", "nodata", "dtype", "labels"), TABLE)
def test_values_and_nodata_decide_what_is_labelled(
    numbers: list[float], nodata: float | None, dtype: str, labels: list[int]
) -> None:
    found = meaning(numbers, nodata, dtype)
    pixels = np.array([numbers], dtype)
    valid = np.ones(pixels.shape, bool) if nodata is None else pixels != nodata
    assert found.labels(pixels, valid, source="m.tif").tolist() == [labels]


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mask_of_two_values_finds_itself_and_trains_alike(data: Any, tmp_path: Path) -> None:
    byte = st.one_of(st.sampled_from([0, 1, 255]), st.integers(0, 255))
    low, high = data.draw(st.lists(byte, min_size=2, max_size=2, unique=True))
    nodata = data.draw(st.sampled_from([None, low, high]))
    pixels = np.full((24, 24), low, np.uint8)
    pixels[3:9, 4:12] = pixels[15:20, 2:20] = high
    path = tif(tmp_path / "mask.tif", pixels, nodata=nodata)
    headline = evaluate_scene(path, path, options=QUICK).report["headline"]
    assert headline["recall"]["value"] == 1
    assert headline["precision"]["value"] == 1
    objects = trace_label_raster(path)
    scene = open_labels(path)
    georef = scene.info.georef
    scene.close()
    assert georef is not None
    grid = SceneGrid(
        source=str(path),
        shape=pixels.shape,
        transform=rasterio_affine(georef.transform),
        crs=f"EPSG:{objects.crs.to_epsg()}" if objects.crs else None,
    )
    config = PlaceConfig(name="a", scenes=(path,), labels=path)
    trained = read_training_labels(config, (), grid)
    drawn = (trained.instances > 0) & trained.known
    assert drawn.sum() == pytest.approx(shapely.area(objects.polygon).sum() * 4)
    assert trained.instances.max() == len(objects)
    lost = 0.0 if objects.unknown is None else shapely.area(objects.unknown).sum() * 4
    assert (~trained.known).sum() == pytest.approx(lost)


def rasterio_affine(transform: tuple[float, ...]) -> Any:
    """Return GDAL's six numbers as rasterio has them."""
    from affine import Affine

    return Affine(*transform)


def test_the_rule_is_of_the_whole_file_not_of_a_piece(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:32, :32], pixels[40:50, 40:50] = 255, 1
    found = trace_label_raster(tif(tmp_path / "a.tif", pixels), piece=32)
    assert shapely.area(found.polygon).tolist() == [25]
    assert found.unknown is not None
    pixels[40:50, 40:50] = 0
    found = trace_label_raster(tif(tmp_path / "b.tif", pixels), piece=32)
    assert shapely.area(found.polygon).tolist() == [256]
    assert found.unknown is None


def test_what_is_read_into_a_mask_stands_in_the_first_note(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    pixels[4:20, 4:20] = 255
    path = tif(tmp_path / "a.tif", pixels, nodata=0)
    report = evaluate_scene(path, path, options=QUICK).report
    first, second = report["notes"][:2]
    assert first.startswith("prediction: values: 0 background; 255 objects")
    assert second.startswith("truth: values: 0 background; 255 objects")
    assert report["inputs"]["reference"]["values"] == "0 background; 255 objects"
    plain = tif(tmp_path / "b.tif", np.minimum(pixels, 1), nodata=255)
    report = evaluate_scene(plain, plain, options=QUICK).report
    assert report["notes"] == []
    assert report["inputs"]["reference"]["values"] == "0 background; 1 objects; 255 not labelled"


def test_transparent_pixels_around_what_is_drawn_are_background(tmp_path: Path) -> None:
    mask = np.zeros((20, 20, 4), np.uint8)
    mask[3:9, 3:9] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    found = trace_label_raster(tmp_path / "a.png")
    assert shapely.area(found.polygon).tolist() == [36]
    assert found.unknown is None
    bits = Image.fromarray(mask[:, :, 0]).convert("1")
    bits.save(tmp_path / "b.png")
    assert shapely.area(trace_label_raster(tmp_path / "b.png").polygon).tolist() == [36]
    palette = Image.fromarray(mask[:, :, 0] // 255).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "c.png")
    assert shapely.area(trace_label_raster(tmp_path / "c.png").polygon).tolist() == [36]
    Image.fromarray(mask[:, :, 0].astype(np.uint16) * 257).save(tmp_path / "d.png")
    assert shapely.area(trace_label_raster(tmp_path / "d.png").polygon).tolist() == [36]


def test_probabilities_with_a_scale_are_no_labels(tmp_path: Path) -> None:
    import rasterio

    path = tif(tmp_path / "a.tif", np.full((20, 20), 200, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.scales = [0.004]
    with pytest.raises(SceneError, match=r"scale of 0\.004.*cut them at a threshold"):
        trace_label_raster(path)


def test_an_empty_mask_of_overtile_stays_empty(tmp_path: Path) -> None:
    import rasterio

    pixels = np.zeros((20, 20), np.uint8)
    pixels[:5] = 255
    path = tif(tmp_path / "mask.tif", pixels, nodata=255)
    assert len(trace_label_raster(path)) == 1
    assert len(trace_label_raster(path, own=True)) == 0
    own = tmp_path / "own.tif"
    with rasterio.open(path) as file:
        profile = {**file.profile, "photometric": "PALETTE"}
    with rasterio.open(own, "w", **profile) as file:
        file.write(pixels, 1)
        file.descriptions = ("class",)
        file.write_colormap(1, {0: (255, 255, 255, 255), 1: (255, 0, 0, 255)})
    scene = open_labels(own)
    assert meaning_of(scene).unlabelled == {255}
    scene.close()
    assert len(trace_label_raster(own)) == 0
