"""Many files read as one scene: the same pixels as one file that holds them all."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.mosaics import mosaic as mosaics
from pipeline.scenes.mosaics.adjoining import Overlap, as_one_scene
from pipeline.scenes.open import fingerprint, open_scene
from pipeline.scenes.parts import Mosaic, MosaicPart
from pipeline.scenes.scene import SceneRef
from tests.strategies import examples

ORIGIN = Affine(0.5, 0, 500_000, 0, -0.5, 5_500_000)
Writer = Callable[..., Path]


def piece(write: Writer, whole: np.ndarray, window: Window, name: str, **profile: object) -> Path:
    """Write a window of an array as a file in its place."""
    rows, cols = window.within(Window(row=0, col=0, height=whole.shape[1], width=whole.shape[2]))
    away = ORIGIN @ Affine.translation(window.col, window.row)
    return write(whole[:, rows, cols], name, transform=away, **profile)


def refs(*paths: Path, **options: str) -> list[SceneRef]:
    chosen = tuple(sorted(options.items()))
    return [SceneRef(kind="geotiff", href=str(path), options=chosen) for path in paths]


def box(row: int, col: int, height: int, width: int) -> Window:
    return Window(row=row, col=col, height=height, width=width)


windows = st.builds(
    box, st.integers(0, 30), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)
)


@settings(max_examples=examples(12))
@given(boxes=st.lists(windows, min_size=1, max_size=6), data=st.data())
def test_any_window_has_the_pixels_of_the_parts_under_it(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[Window], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    whole = np.random.default_rng(len(boxes)).integers(1, 255, (2, 50, 60)).astype(np.uint8)
    covered = np.zeros((50, 60), bool)
    paths = []
    for at, one in enumerate(boxes):
        covered[one.row : one.bottom, one.col : one.right] = True
        paths.append(piece(_writer(folder), whole, one, f"{at}.tif", photometric="MINISBLACK"))
    scene = open_scene(as_one_scene(refs(*paths)))
    top, left = min(one.row for one in boxes), min(one.col for one in boxes)
    info = scene.info
    assert info.georef is not None
    assert info.georef.transform == tuple(ORIGIN @ Affine.translation(left, top))[:6]
    assert (info.height, info.width) == (
        max(one.bottom for one in boxes) - top,
        max(one.right for one in boxes) - left,
    )
    row, col = data.draw(st.integers(0, info.height - 1)), data.draw(st.integers(0, info.width - 1))
    height = data.draw(st.integers(1, info.height - row))
    width = data.draw(st.integers(1, info.width - col))
    pixels, valid = scene.read(box(row, col, height, width), (2, 1))
    rows, cols = slice(top + row, top + row + height), slice(left + col, left + col + width)
    np.testing.assert_array_equal(valid, covered[rows, cols])
    np.testing.assert_array_equal(pixels[:, valid], whole[::-1, rows, cols][:, valid])
    scene.close()


def _writer(folder: Path) -> Writer:
    import rasterio

    def write(pixels: np.ndarray, name: str, **profile: object) -> Path:
        settings = {
            "driver": "GTiff",
            "count": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": pixels.dtype,
            "crs": "EPSG:32633",
        }
        with rasterio.open(folder / name, "w", **(settings | profile)) as file:
            file.write(pixels)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("overlap", "shown"), [("first", 20), ("last", 30), ("newest", 10), ("oldest", 20)]
)
def test_where_files_overlap_order_or_date_decides(
    geotiff: Writer, overlap: Overlap, shown: int
) -> None:
    days = {"2022": 20, "2024": 10, "": 30}
    found = []
    for day, value in days.items():
        path = geotiff(np.full((1, 8, 8), value, np.uint8), f"v{value}.tif", transform=ORIGIN)
        found.extend(refs(path, **({"datetime": f"{day}-05-06"} if day else {})))
    scene = open_scene(as_one_scene(found, overlap=overlap))
    assert (scene.read(box(0, 0, 8, 8), (1,))[0] == shown).all()
    scene.close()


def test_missing_pixels_of_one_file_are_taken_from_those_below(geotiff: Writer) -> None:
    upper = np.full((1, 8, 8), 7, np.int16)
    upper[0, 2:5] = -9999
    lower = np.full((1, 8, 8), 3, np.int16)
    lower[0, 4, 4] = -9999
    paths = [
        geotiff(upper, "upper.tif", transform=ORIGIN, nodata=-9999),
        geotiff(lower, "lower.tif", transform=ORIGIN, nodata=-9999),
    ]
    scene = open_scene(as_one_scene(refs(*paths)))
    pixels, valid = scene.read(box(0, 0, 8, 8), (1,))
    expected = np.full((8, 8), 7)
    expected[2:5] = 3
    assert not valid[4, 4]
    assert valid.sum() == 63
    np.testing.assert_array_equal(pixels[0][valid], expected[valid])
    scene.close()


def test_a_part_lends_a_window_with_its_bands_in_another_order_and_a_nodata_of_its_own(
    geotiff: Writer,
) -> None:
    values = np.arange(3 * 6 * 6, dtype=np.uint8).reshape(3, 6, 6)
    path = geotiff(values, transform=ORIGIN, photometric="MINISBLACK")
    part = MosaicPart(
        href=str(path), source=box(1, 2, 4, 3), row=5, col=1, bands=(3, 1), nodata=(80.0, 80.0)
    )
    whole = Mosaic(
        height=10,
        width=6,
        crs_wkt="EPSG:32633",
        transform=(0.5, 0, 500_000, 0, -0.5, 5_500_000),
        parts=(part,),
    )
    scene = open_scene(SceneRef(kind="mosaic", href=str(path), mosaic=whole))
    assert [band.index for band in scene.info.bands] == [1, 2]
    pixels, valid = scene.read(box(4, 0, 6, 6), (1, 2))
    inside = np.zeros((6, 6), bool)
    inside[1:5, 1:4] = True
    np.testing.assert_array_equal(pixels[:, 1:5, 1:4][1], values[0, 1:5, 2:5])
    # Both bands must hold it: 80 stands in one of them alone.
    np.testing.assert_array_equal(valid, inside)
    alone = scene.read(box(4, 0, 6, 6), (1,))[1]
    assert np.argwhere(inside & ~alone).tolist() == [[1, 1]]
    scene.close()


def test_a_reference_travels_and_tells_by_content_and_place_whether_a_scene_is_the_same(
    geotiff: Writer,
) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    paths = [
        piece(geotiff, pixels, box(0, 0, 8, 4), "a.tif"),
        piece(geotiff, pixels, box(0, 4, 8, 4), "b.tif"),
    ]
    ref = as_one_scene(refs(*paths), name="both")
    assert pickle.loads(pickle.dumps(ref)) == ref
    scene = open_scene(ref)
    assert scene.info.name == "both"
    assert scene.info.fingerprint == fingerprint(ref)
    again = open_scene(pickle.loads(pickle.dumps(ref)), known=scene.info)
    np.testing.assert_array_equal(again.read(box(0, 0, 8, 8), (1,))[0], pixels)
    assert ref.mosaic is not None
    first, second = ref.mosaic.parts
    others = [
        replace(ref.mosaic, parts=(second, first)),
        replace(ref.mosaic, parts=(first, replace(second, col=5))),
        replace(ref.mosaic, parts=(first,)),
    ]
    prints = {fingerprint(replace(ref, mosaic=one)) for one in (*others, ref.mosaic)}
    piece(geotiff, pixels + 1, box(0, 4, 8, 4), "b.tif")
    assert len({*prints, fingerprint(ref)}) == 5
    scene.close()
    again.close()


def test_five_hundred_files_keep_few_open(tmp_path: Path) -> None:
    # One file's bytes with another place written into them: quicker than 500 files of GDAL.
    write = _writer(tmp_path)
    first = write(np.arange(64, dtype=np.uint8).reshape(1, 8, 8), "0.tif", transform=ORIGIN)
    content = first.read_bytes()
    east, north = struct.pack("<d", 500_000.0), struct.pack("<d", 5_500_000.0)
    assert content.count(east) == content.count(north) == 1
    paths = [first]
    for at in range(1, 500):
        row, col = divmod(at, 25)
        moved = content.replace(east, struct.pack("<d", 500_000 + 4.0 * col))
        moved = moved.replace(north, struct.pack("<d", 5_500_000 - 4.0 * row))
        paths.append(tmp_path / f"{at}.tif")
        paths[-1].write_bytes(moved)
    before = len(list(Path("/proc/self/fd").iterdir()))
    scene = open_scene(as_one_scene(refs(*paths)))
    assert (scene.info.height, scene.info.width) == (160, 200)
    pixels, valid = scene.read(box(0, 0, 160, 200), (1,))
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= mosaics.MOST_OPEN
    assert valid.all()
    np.testing.assert_array_equal(pixels[0], np.tile(np.arange(64).reshape(8, 8), (20, 25)))
    scene.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_files_on_other_grids_are_refused_by_name(geotiff: Writer) -> None:
    pixels = np.zeros((1, 8, 8), np.uint8)
    first = geotiff(pixels, "first.tif", transform=ORIGIN)

    def refusal(array: np.ndarray = pixels, **profile: object) -> str:
        other = geotiff(array, "other.tif", **({"transform": ORIGIN} | profile))
        with pytest.raises(SceneError) as caught:
            as_one_scene(refs(first, other))
        assert "other.tif" in str(caught.value)
        return str(caught.value)

    assert "'WGS 84 / UTM zone 32N'" in refusal(crs="EPSG:32632")
    finer = Affine(0.25, 0, 500_000, 0, -0.25, 5_500_000)
    assert "its pixels are 0.25 x 0.25" in refusal(transform=finer)
    turned = ORIGIN @ Affine.rotation(1.0)
    assert "its pixels are" in refusal(transform=turned)
    shifted = ORIGIN @ Affine.translation(8.25, -0.5)
    assert "-0.5 rows and +0.25 columns" in refusal(transform=shifted)
    assert "uint16 bands gray" in refusal(pixels.astype(np.uint16))
    assert "uint8 bands red, green, blue" in refusal(
        np.zeros((3, 8, 8), np.uint8), photometric="RGB"
    )


def test_rounding_of_a_corner_is_no_other_grid(geotiff: Writer) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    left = piece(geotiff, pixels, box(0, 0, 8, 4), "left.tif")
    away = ORIGIN @ Affine.translation(4.003, 0)
    right = geotiff(pixels[:, :, 4:], "right.tif", transform=away)
    scene = open_scene(as_one_scene(refs(left, right)))
    assert scene.info.width == 8
    np.testing.assert_array_equal(scene.read(box(0, 0, 8, 8), (1,))[0], pixels)
    scene.close()


def test_a_span_beyond_the_limit_is_refused(geotiff: Writer) -> None:
    pixels = np.zeros((1, 8, 8), np.uint8)
    far = ORIGIN @ Affine.translation(400_000, 400_000)
    paths = [geotiff(pixels, "a.tif"), geotiff(pixels, "b.tif", transform=far)]
    with pytest.raises(SceneError, match="spans 400008 x 400008 pixels"):
        as_one_scene(refs(*paths))
