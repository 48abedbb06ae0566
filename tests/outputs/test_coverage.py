"""The area of a mask: what its valid pixels cover, also under the guard of untrusted scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.errors import SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.outputs.rasters.coverage import NODATA, coverage
from tests.mapping.scenery import NORTH_UP, write_scene


@pytest.fixture(autouse=True)
def _guarded() -> None:
    # As in every run; it takes away the driver that GDAL's own polygonize needs.
    install_guard()


def _covered(tmp_path: Path, valid: np.ndarray) -> tuple[BaseGeometry, float]:
    mask = np.where(valid, 0, NODATA).astype(np.uint8)[None]
    found = coverage(write_scene(tmp_path / "mask.tif", mask))
    return shapely.from_wkb(found.wkb), found.km2


def _inside(area: BaseGeometry, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Any:
    """Return whether the middles of pixels lie in an area."""
    x, y = NORTH_UP.c + NORTH_UP.a * (cols + 0.5), NORTH_UP.f + NORTH_UP.e * (rows + 0.5)
    lon, lat = Transformer.from_crs("EPSG:32645", "OGC:CRS84", always_xy=True).transform(x, y)
    return shapely.contains_xy(area, lon, lat)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_holds_the_valid_pixels_and_no_others(tmp_path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).random((6, 8)) < 0.5
    valid = coarse.repeat(10, axis=0).repeat(10, axis=1)
    area, km2 = _covered(tmp_path, valid)
    rows, cols = np.indices(valid.shape)
    assert (_inside(area, rows.ravel(), cols.ravel()) == valid.ravel()).all()
    assert km2 == pytest.approx(valid.sum() * 0.09 / 1e6, rel=0.01)


def test_a_hole_stays_a_hole_and_nothing_covers_nothing(tmp_path: Path) -> None:
    valid = np.ones((40, 40), bool)
    assert _covered(tmp_path, valid)[0].geom_type == "Polygon"
    valid[10:20, 10:20] = False
    assert len(shapely.get_rings(_covered(tmp_path, valid)[0])) == 2
    area, km2 = _covered(tmp_path, ~np.ones_like(valid))
    assert (area.is_empty, km2) == (True, 0.0)


def test_a_large_mask_is_looked_at_through_its_overviews(tmp_path: Path) -> None:
    valid = np.zeros((100, 3000), bool)
    valid[:, 900:] = True
    _, km2 = _covered(tmp_path, valid)
    assert km2 == pytest.approx(valid.sum() * 0.09 / 1e6, rel=0.02)


def test_a_mask_without_a_place_or_that_is_none_is_its_scenes_fault(tmp_path: Path) -> None:
    mask = write_scene(tmp_path / "m.tif", np.zeros((1, 40, 40), np.uint8), crs=None)
    with pytest.raises(SceneError, match="it is not georeferenced"):
        coverage(mask)
    mask.write_bytes(b"none")
    with pytest.raises(SceneError, match="cannot be read"):
        coverage(mask)
