"""Label rasters: traced in pieces, told from pictures, and of any type that holds classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.features import rasterize
from rasterio.transform import Affine

from pipeline.errors import ConfigError, SceneError
from pipeline.labels.formats.raster import trace_label_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def tif(path: Path, pixels: Any, *, nodata: float | None = None) -> Path:
    """Write bands on half-metre pixels in UTM."""
    bands = np.atleast_3d(pixels).transpose(2, 0, 1) if pixels.ndim == 2 else pixels
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype,
        crs="EPSG:32633",
        transform=Affine(0.5, 0, 500000, 0, -0.5, 5500000),
        nodata=nodata,
    ) as file:
        file.write(bands)
    return path


def blobs(seed: int, side: int = 150) -> Any:
    """Large and small areas of three classes, and of no data."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(0, 4, (8, 8)), np.ones((20, 20)))[:side, :side]
    found = np.where(rng.random((side, side)) < 0.02, 2, coarse).astype(np.uint8)
    found[rng.random((side, side)) < 0.01] = 255
    return found


@pytest.mark.parametrize(("seed", "piece"), [(0, 37), (1, 64), (2, 149)])
def test_pieces_make_up_the_whole(tmp_path: Path, seed: int, piece: int) -> None:
    folder = tmp_path
    labels = tif(folder / "labels.tif", blobs(seed), nodata=255)
    levels = np.random.default_rng(seed).integers(0, 251, (150, 150)).astype(np.uint8)
    sure = tif(folder / "probability.tif", levels)
    whole = trace_label_raster(labels, probability=sure)
    parts = trace_label_raster(labels, probability=sure, piece=piece)
    assert shapely.equals_exact(whole.polygon, parts.polygon, normalize=False).all()
    assert whole.label is not None
    assert parts.label is not None
    assert whole.label.tolist() == parts.label.tolist()
    np.testing.assert_array_equal(whole.confidence, parts.confidence)
    assert whole.unknown is not None
    assert shapely.union_all(whole.unknown).equals(shapely.union_all(parts.unknown))
    first = shapely.transform(whole.polygon[:1], lambda xy: (xy - [500000, 5500000]) * [2, -2])
    inside = rasterize(first, (150, 150)).astype(bool)
    assert whole.confidence is not None
    assert whole.confidence[0] == pytest.approx(levels[inside].mean() / 250)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_classes_are_classes_in_any_type(tmp_path: Path, dtype: str) -> None:
    pixels = blobs(1)
    pixels[pixels == 255] = 0
    plain = trace_label_raster(tif(tmp_path / "plain.tif", pixels))
    typed = trace_label_raster(tif(tmp_path / "typed.tif", pixels.astype(dtype)))
    assert shapely.equals_exact(plain.polygon, typed.polygon, normalize=False).all()


@pytest.mark.parametrize("nodata", [np.nan, -9999.0])
def test_what_is_missing_is_unknown_whatever_its_number(tmp_path: Path, nodata: float) -> None:
    pixels = np.zeros((40, 40), np.float32)
    pixels[:10], pixels[20:30] = nodata, 1
    found = trace_label_raster(tif(tmp_path / "a.tif", pixels, nodata=nodata))
    assert shapely.area(found.polygon).tolist() == [100]
    assert found.unknown is not None
    assert shapely.area(found.unknown).tolist() == [100]


def test_what_holds_no_labels_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((40, 40), np.float32)
    pixels[5:9, 5:9] = 0.75
    with pytest.raises(SceneError, match=r"fractions, such as 0\.75; cut them at a threshold"):
        trace_label_raster(tif(tmp_path / "a.tif", pixels))
    with pytest.raises(SceneError, match="from 0 to 300; give classes"):
        trace_label_raster(tif(tmp_path / "b.tif", (pixels * 400).astype(np.int32)))
    picture = np.random.default_rng(0).integers(0, 2, (3, 20, 20)).astype(np.uint8)
    with pytest.raises(SceneError, match="3 bands that differ"):
        trace_label_raster(tif(tmp_path / "c.tif", picture))
    Image.fromarray(picture[0] * 255).save(tmp_path / "d.jpg")
    with pytest.raises(SceneError, match="JPEG"):
        trace_label_raster(tmp_path / "d.jpg")
    mask = tif(tmp_path / "e.tif", picture[0])
    with pytest.raises(ConfigError, match="rasters of one run"):
        trace_label_raster(mask, probability=tif(tmp_path / "f.tif", picture[0, :9]))


def test_equal_bands_are_one(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[3:9, 3:9] = 255
    Image.fromarray(np.dstack([mask, mask, mask])).save(tmp_path / "a.png")
    assert shapely.area(trace_label_raster(tmp_path / "a.png").polygon).tolist() == [36]
