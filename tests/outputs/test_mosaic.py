"""Mosaics and COGs: what tiles wrote is what readers read, on the scene's grid."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import ExportError
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.rasters.cog import write_cog
from pipeline.outputs.rasters.mosaic import MosaicWriter, Raster
from pipeline.validation.cog import check_cog
from tests.strategies import examples

Where = Callable[..., Provenance]


def _mask(seed: int, height: int, width: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 3, (1, height // 8 + 1, width // 8 + 1))
    pixels = rough.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width].astype(np.uint8)
    pixels[:, : height // 9, : width // 7] = 255
    return pixels


def _cores(height: int, width: int, *, core: int) -> list[Window]:
    corners = product(range(0, height, core), range(0, width, core))
    return [
        Window(row=r, col=c, height=min(core, height - r), width=min(core, width - c))
        for r, c in corners
    ]


def _raster(kind: str, provenance: Provenance) -> Raster:
    if kind == "mask":
        return Raster(kind="mask", bands=("class",), provenance=provenance)
    return Raster(
        kind="probability", bands=("probability of building", "of salt"), provenance=provenance
    )


def _made(folder: Path, kind: str, provenance: Provenance, *, core: int = 176) -> np.ndarray:
    pixels = _mask(5, provenance.height, provenance.width)
    if kind == "probability":
        pixels = np.concatenate([np.where(pixels == 255, 255, pixels * 100 + 3), pixels])
    with MosaicWriter(folder / f"{kind}.work.tif", _raster(kind, provenance)) as mosaic:
        for window in _cores(provenance.height, provenance.width, core=core):
            part = pixels[:, window.row : window.bottom, window.col : window.right]
            mosaic.write(window, part)
    write_cog(folder / f"{kind}.work.tif", folder / f"{kind}.tif", _raster(kind, provenance))
    return pixels


@pytest.mark.parametrize(("height", "width"), [(1024, 512), (2100, 1023), (600, 512), (700, 384)])
def test_a_cog_as_wide_as_a_block_is_tiled_all_the_same(
    provenance: Where, georef: Georef, tmp_path: Path, height: int, width: int
) -> None:
    pixels = _made(tmp_path, "mask", provenance(georef, height=height, width=width))
    assert check_cog(tmp_path / "mask.tif") == []
    assert cog_validate(tmp_path / "mask.tif", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "mask.tif") as cog:
        np.testing.assert_array_equal(cog.read(), pixels)


@pytest.mark.parametrize("kind", ["mask", "probability"])
def test_a_cog_is_the_mosaic_on_the_grid_of_the_scene(
    provenance: Where, georef: Georef, tmp_path: Path, kind: str
) -> None:
    pixels = _made(tmp_path, kind, provenance(georef, height=700, width=1100))
    assert check_cog(tmp_path / f"{kind}.tif") == []
    with rasterio.open(tmp_path / f"{kind}.tif") as cog:
        np.testing.assert_array_equal(cog.read(), pixels)
        assert cog.transform == rasterio.Affine(*georef.transform)
        assert cog.crs == rasterio.crs.CRS.from_wkt(georef.crs_wkt)
        assert cog.nodata == 255
        assert cog.overviews(1) == [2, 4]
        assert cog.tags()["TIFFTAG_SOFTWARE"] == "Overtile"
        assert cog.tags()["MODEL"] == "threshold 1.0"
        assert cog.tags()["AREA_OR_POINT"] == "Area"
        if kind == "probability":
            assert cog.scales == (0.004, 0.004)
            assert cog.descriptions == ("probability of building", "of salt")
        else:
            assert cog.colormap(1)[1] == (255, 170, 30, 255)
            assert cog.colormap(1)[255][3] == 0


def test_a_scene_without_crs_gets_a_plain_cog(provenance: Where, tmp_path: Path) -> None:
    for kind in ("mask", "probability"):
        _made(tmp_path, kind, provenance(None, height=101, width=101))
        assert check_cog(tmp_path / f"{kind}.tif") == []
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            cog = rasterio.open(tmp_path / f"{kind}.tif")
        assert cog.crs is None
        cog.close()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@settings(max_examples=examples(15), deadline=None)
@given(core=st.sampled_from([16, 48, 208, 512]), order=st.randoms())
def test_neither_tiles_nor_their_order_change_the_mosaic(
    provenance: Where, tmp_path_factory: pytest.TempPathFactory, core: int, order: object
) -> None:
    where = provenance(None, height=200, width=333)
    pixels = _mask(1, 200, 333)
    cores = _cores(200, 333, core=core)
    order.shuffle(cores)  # type: ignore[attr-defined]
    path = tmp_path_factory.mktemp("mosaic") / "mask.tif"
    with MosaicWriter(path, _raster("mask", where)) as mosaic:
        for window in cores:
            mosaic.write(window, pixels[:, window.row : window.bottom, window.col : window.right])
    with rasterio.open(path) as read:
        np.testing.assert_array_equal(read.read(), pixels)


def test_what_no_tile_wrote_is_nodata(provenance: Where, utm: Georef, tmp_path: Path) -> None:
    raster = _raster("mask", provenance(utm, height=1100, width=1100))
    with MosaicWriter(tmp_path / "work.tif", raster) as mosaic:
        mosaic.write(Window(row=16, col=32, height=48, width=64), np.ones((1, 48, 64), np.uint8))
    write_cog(tmp_path / "work.tif", tmp_path / "mask.tif", raster)
    with rasterio.open(tmp_path / "mask.tif") as cog:
        pixels = cog.read(1)
        assert (pixels[16:64, 32:96] == 1).all()
        assert (pixels == 1).sum() == 48 * 64
        assert (pixels == 255).sum() == pixels.size - 48 * 64


def test_overviews_of_masks_hold_no_new_values_and_those_of_probabilities_no_nodata(
    provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    for kind in ("mask", "probability"):
        pixels = _made(tmp_path, kind, provenance(utm, height=700, width=1100))
        with rasterio.open(tmp_path / f"{kind}.tif", overview_level=0) as half:
            seen = half.read(1)
            if kind == "mask":
                assert set(np.unique(seen)) <= set(np.unique(pixels))
            else:
                assert seen[seen != 255].max() <= pixels[pixels != 255].max()


def test_threads_and_repeats_do_not_change_the_bytes(
    provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    for kind in ("mask", "probability"):
        _made(tmp_path, kind, provenance(utm, height=1300, width=900))
        first = (tmp_path / f"{kind}.tif").read_bytes()
        raster = _raster(kind, provenance(utm, height=1300, width=900))
        for threads in (1, 4):
            write_cog(
                tmp_path / f"{kind}.work.tif", tmp_path / f"{kind}.tif", raster, threads=threads
            )
            assert (tmp_path / f"{kind}.tif").read_bytes() == first


def test_a_mosaic_that_does_not_read_back_is_refused(
    provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    _made(tmp_path, "mask", provenance(utm, height=700, width=700))
    before = (tmp_path / "mask.tif").read_bytes()
    work = tmp_path / "mask.work.tif"
    work.write_bytes(work.read_bytes()[:200_000])
    with pytest.raises(ExportError):
        write_cog(work, tmp_path / "mask.tif", _raster("mask", provenance(utm)))
    assert (tmp_path / "mask.tif").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mask.tif", "mask.work.tif"]


def test_the_check_is_that_of_rio_cogeo(provenance: Where, utm: Georef, tmp_path: Path) -> None:
    _made(tmp_path, "mask", provenance(utm, height=700, width=700))
    assert cog_validate(tmp_path / "mask.tif", strict=True, quiet=True)[0]
    assert not cog_validate(tmp_path / "mask.work.tif", strict=True, quiet=True)[0]
