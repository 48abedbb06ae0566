"""Declared nodata is honoured wherever it stands; a user's value or none goes instead of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.nodata import with_nodata
from pipeline.scenes.open import open_scene
from pipeline.scenes.parts import Mosaic, MosaicPart
from pipeline.scenes.resample import Resampled
from pipeline.scenes.scene import Scene, SceneRef
from pipeline.scenes.validity import missing
from tests.strategies import examples

HOLE = (slice(20, 50), slice(30, 37))
BYTES = np.random.default_rng(4).integers(1, 250, (3, 90, 110), np.uint8)


def scene_of(path: Path, nodata: float | str = "declared") -> Scene:
    """Return an open scene."""
    kind = "geotiff" if path.suffix == ".tif" else "image"
    return open_scene(with_nodata(SceneRef(kind=kind, href=str(path)), nodata))


def valid_of(scene: Scene, bands: tuple[int, ...] = (1, 2, 3)) -> np.ndarray:
    """Return where a whole scene is valid."""
    height, width = scene.info.height, scene.info.width
    return scene.read(Window(row=0, col=0, height=height, width=width), bands)[1]


def holed(value: float, dtype: str = "uint8") -> tuple[np.ndarray, np.ndarray]:
    """Return pixels with a small hole, and where they are valid."""
    pixels = BYTES.astype(dtype)
    pixels[:, *HOLE] = value
    valid = np.ones(pixels.shape[1:], bool)
    valid[HOLE] = False
    return pixels, valid


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 255),
        ("uint8", 0),
        ("uint16", 65535),
        ("uint16", 0),
        ("int16", -9999),
        ("int16", 255),
        ("float32", 0),
        ("float32", -3.4028234663852886e38),
        ("float32", np.nan),
        ("float64", -9999.5),
    ],
)
def test_a_small_hole_of_declared_nodata_is_missing(
    geotiff: Callable[..., Path], dtype: str, value: float
) -> None:
    pixels, valid = holed(value, dtype)
    # One band alone may be as bright or dark as that.
    if np.dtype(dtype).kind == "u" or value == 0:
        pixels[1, 60:70, 60:70] = value
    scene = scene_of(geotiff(pixels, nodata=value))
    np.testing.assert_array_equal(valid_of(scene), valid)


def test_only_bands_that_are_read_decide(geotiff: Callable[..., Path]) -> None:
    pixels, valid = holed(0)
    pixels[2] = 77
    scene = scene_of(geotiff(pixels, nodata=0))
    np.testing.assert_array_equal(valid_of(scene, (2, 1)), valid)
    assert valid_of(scene, (3, 1)).all()


def test_a_sentinel_in_one_band_is_enough(geotiff: Callable[..., Path]) -> None:
    pixels = BYTES.astype(np.int16)
    pixels[1, 5, 5] = -9999
    valid = valid_of(scene_of(geotiff(pixels, nodata=-9999)))
    assert np.argwhere(~valid).tolist() == [[5, 5]]


@pytest.mark.parametrize(
    ("declared", "chosen", "left"),
    [(255, "none", True), (None, 255, False), (0, 255, False), (None, "none", True)],
)
def test_the_user_says_which_value_it_is_or_none(
    geotiff: Callable[..., Path], declared: float | None, chosen: float | str, left: bool
) -> None:
    pixels, valid = holed(255)
    pixels[:, 80:, 80:] = 0
    scene = scene_of(geotiff(pixels, nodata=declared), chosen)
    np.testing.assert_array_equal(valid_of(scene), np.ones_like(valid) if left else valid)
    assert scene.info.nodata == (None if chosen == "none" else chosen)
    assert not scene.info.warnings


def test_nan_stays_missing_whatever_value_is_chosen(geotiff: Callable[..., Path]) -> None:
    pixels, valid = holed(np.nan, "float32")
    path = geotiff(pixels, nodata=-1)
    for chosen in ("none", "nan", 300.0):
        np.testing.assert_array_equal(valid_of(scene_of(path, chosen)), valid)


def test_a_chosen_value_counts_beside_alpha_and_a_declared_one_does_not(
    geotiff: Callable[..., Path],
) -> None:
    pixels, valid = holed(0)
    alpha = np.full((1, *valid.shape), 255, np.uint8)
    alpha[0, :9] = 0
    path = geotiff(np.concatenate([pixels, alpha]), nodata=0, photometric="RGB", alpha="YES")
    declared = scene_of(path)
    np.testing.assert_array_equal(valid_of(declared), alpha[0] > 0)
    assert "it has alpha and nodata 0; alpha decides where it is valid" in declared.info.warnings
    chosen = scene_of(path, 0)
    np.testing.assert_array_equal(valid_of(chosen), (alpha[0] > 0) & valid)
    assert not chosen.info.warnings


@pytest.mark.parametrize(("dtype", "value"), [("uint8", -9999.0), ("uint8", 0.5), ("int16", 65535)])
def test_a_chosen_value_that_pixels_cannot_hold_is_refused(
    geotiff: Callable[..., Path], dtype: str, value: float
) -> None:
    path = geotiff(BYTES.astype(dtype))
    with pytest.raises(SceneError, match=rf"--nodata {value:g} is no value .* \({dtype}\)"):
        scene_of(path, value)


def test_a_declared_value_that_pixels_cannot_hold_is_warned_of(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(BYTES.astype(np.float32), nodata=-9999)
    data = path.read_bytes()
    assert data.count(b"-9999\0") == 1
    scene = scene_of(path)
    assert not scene.info.warnings
    scene = scene_of(geotiff(BYTES, name="b.tif", nodata=200))
    with rasterio.open(scene.info.source) as file:
        assert file.nodata == 200
    wrong = Path(scene.info.source).with_name("c.tif")
    wrong.write_bytes(Path(scene.info.source).read_bytes().replace(b"200\0", b"-12\0"))
    assert "its nodata -12 does not fit uint8; it is not used" in scene_of(wrong).info.warnings


def test_volumes_have_no_nodata() -> None:
    ref = SceneRef(kind="segy", href="/a.sgy")
    assert with_nodata(ref, "none") == with_nodata(ref, "declared") == ref
    with pytest.raises(SceneError, match="leave --nodata out"):
        with_nodata(ref, 0.0)


def test_files_of_a_mosaic_get_the_value_too() -> None:
    whole = Window(row=0, col=0, height=5, width=5)
    part = MosaicPart(href="/a.tif", source=whole, row=0, col=0, options=(("crs", "EPSG:4326"),))
    mosaic = Mosaic(height=5, width=5, crs_wkt="", transform=(1, 0, 0, 0, 1, 0), parts=(part,))
    found = with_nodata(SceneRef(kind="mosaic", href="/a.tif", mosaic=mosaic), 255.0)
    assert found.mosaic is not None
    assert found.options == (("nodata", "255"),)
    assert found.mosaic.parts[0].options == (("crs", "EPSG:4326"), ("nodata", "255"))


@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.01, 0.4, 1.0]),
    cut=st.tuples(st.integers(1, 39), st.integers(1, 49)),
)
@settings(deadline=None, max_examples=examples(25))
def test_validity_does_not_depend_on_the_window(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, cut: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 3, (3, 40, 50)).astype(np.uint8)
    pixels[:, rng.random((40, 50)) < share] = 0
    path = tmp_path_factory.mktemp("nodata") / "s.tif"
    about = {"driver": "GTiff", "count": 3, "height": 40, "width": 50, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", nodata=0, **about, **place) as file:
        file.write(pixels)
    scene = scene_of(path)
    whole = valid_of(scene)
    np.testing.assert_array_equal(whole, (pixels != 0).any(axis=0))
    rows, cols = (0, cut[0], 40), (0, cut[1], 50)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            window = Window(row=top, col=left, height=bottom - top, width=right - left)
            valid = scene.read(window, (1, 2, 3))[1]
            np.testing.assert_array_equal(valid, whole[top:bottom, left:right])


@given(
    nodata=st.sampled_from([0, 7]),
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(5, 80), st.integers(5, 80)),
)
@settings(deadline=None, max_examples=examples(25))
def test_nodata_does_not_bleed_into_resampled_pixels(
    nodata: int, seed: int, size: tuple[int, int]
) -> None:
    from pipeline.scenes.memory import MemoryScene

    rng = np.random.default_rng(seed)
    pixels = np.full((1, 30, 30), 100, np.uint16)
    pixels[:, rng.random((30, 30)) < 0.3] = nodata
    valid = ~missing(pixels, (nodata,))
    scene = MemoryScene(pixels, valid=valid)
    shown, seen = Resampled(scene, height=size[0], width=size[1]).read(
        Window(row=0, col=0, height=size[0], width=size[1]), (1,)
    )
    assert set(np.unique(shown[0][seen]).tolist()) <= {100}


def aux(path: Path, *bands: str, more: str = "") -> None:
    """Write an ``.aux.xml`` file with nodata of some bands beside a scene."""
    inner = "".join(
        f'<PAMRasterBand band="{number}"><NoDataValue>{value}</NoDataValue></PAMRasterBand>'
        for number, value in enumerate(bands, start=1)
        if value
    )
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{more}{inner}</PAMDataset>")


def test_nodata_of_an_aux_xml_file_is_honoured(geotiff: Callable[..., Path]) -> None:
    pixels, valid = holed(255)
    path = geotiff(pixels)
    before = content_digest(str(path))
    aux(path, "", more="<Metadata><MDI key='STATISTICS_MEAN'>4</MDI></Metadata>")
    assert content_digest(str(path)) == before
    assert valid_of(scene_of(path)).all()
    aux(path, "255", "255.0", "2.55e2")
    assert content_digest(str(path)) != before
    np.testing.assert_array_equal(valid_of(scene_of(path)), valid)
    assert valid_of(scene_of(path, "none")).all()


def test_each_band_may_have_a_value_of_its_own(geotiff: Callable[..., Path]) -> None:
    pixels, valid = holed(9)
    pixels[2][HOLE] = 200
    path = geotiff(pixels)
    aux(path, "9", "9", "200")
    np.testing.assert_array_equal(valid_of(scene_of(path)), valid)
    assert valid_of(scene_of(path), (3,)).sum() == (pixels[2] != 200).sum()


@pytest.mark.parametrize(
    ("bands", "own", "warning"),
    [
        (("255", "", ""), None, "declares nodata for band 1 alone; it is not used"),
        (("-9999",) * 3, None, "nodata -9999 of the .aux.xml file beside it does not fit uint8"),
        (("0",) * 3, 255, "declares another nodata than the 255 inside it"),
        (("much",) * 3, None, "is not used: its nodata 'much' is no number"),
    ],
)
def test_what_an_aux_xml_file_declares_in_vain_is_warned_of(
    geotiff: Callable[..., Path], bands: tuple[str, ...], own: float | None, warning: str
) -> None:
    pixels, _ = holed(255)
    path = geotiff(pixels, nodata=own)
    aux(path, *bands)
    scene = scene_of(path)
    assert any(warning in found for found in scene.info.warnings), scene.info.warnings
    assert valid_of(scene).all() or own == 255


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><PAMDataset>&b;</PAMDataset>", "document type"),
        ("<!DOCTYPE a><PAMDataset/>".encode("utf-16"), "document type"),
        (b"<PAMDataset>" + b"<a>" * 100, "nested more than"),
        (b"<PAMDataset><PAMRasterBand", "no sound XML"),
        (b"\xff\xfe\x00", "no sound XML"),
        (b" " * (5 * 2**20), "the limit is"),
    ],
)
def test_a_hostile_aux_xml_file_is_named_and_not_used(
    geotiff: Callable[..., Path], content: bytes, fault: str
) -> None:
    path = geotiff(BYTES)
    Path(f"{path}.aux.xml").write_bytes(content)
    scene = scene_of(path)
    assert any(".aux.xml" in text and fault in text for text in scene.info.warnings)
    assert valid_of(scene).all()


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_a_georeference_in_an_aux_xml_file_alone_is_named_in_the_refusal(
    geotiff: Callable[..., Path], crs: str | None
) -> None:
    path = geotiff(BYTES, crs=crs, transform=None)
    place = "<GeoTransform>500000, 0.5, 0, 5500000, 0, -0.5</GeoTransform>"
    aux(path, more=f"<SRS>EPSG:32633</SRS>{place}")
    with pytest.raises(
        SceneError, match=r"aux\.xml file .* has a coordinate reference .* not read"
    ):
        scene_of(path)


def test_a_transparent_colour_is_ignored_where_none_is_asked_for(tmp_path: Path) -> None:
    pixels, valid = holed(9)
    path = tmp_path / "a.png"
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path, transparency=(9, 9, 9))
    np.testing.assert_array_equal(valid_of(scene_of(path)), valid)
    assert valid_of(scene_of(path, "none")).all()
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path)
    assert valid_of(scene_of(path)).all()
    np.testing.assert_array_equal(valid_of(scene_of(path, 9)), valid)
