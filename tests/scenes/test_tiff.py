"""A TIFF that is cut off or lies is found out from its directories alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.geotiff.blocks import check_blocks, zero_tail
from pipeline.scenes.geotiff.directory import BrokenTiffError
from pipeline.scenes.geotiff.tiff import TiffLayout, read_layout
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from tests.strategies import examples

LAYOUTS: dict[str, dict[str, object]] = {
    "strips": {},
    "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 16},
    "planar": {"interleave": "band"},
    "deflate": {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32},
    "bigtiff": {"BIGTIFF": "YES"},
    "big endian": {"ENDIANNESS": "BIG"},
    "lzw": {"compress": "lzw"},
}
PIXELS = np.random.default_rng(3).integers(1, 255, (3, 70, 90), np.uint8)


def _layout(content: bytes) -> TiffLayout:
    return read_layout(lambda offset, length: content[offset : offset + length], len(content))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_directories_say_what_was_written(kind: str, geotiff: Callable[..., Path]) -> None:
    path = geotiff(PIXELS, **LAYOUTS[kind])
    page = _layout(path.read_bytes()).scene
    assert (page.height, page.width, page.samples, page.bits) == (70, 90, 3, 8)
    assert len(page.offsets) == page.blocks
    assert not page.sparse
    check_blocks(page, path.stat().st_size)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_file_cut_anywhere_is_refused(kind: str, geotiff: Callable[..., Path]) -> None:
    path = geotiff(PIXELS, **LAYOUTS[kind])
    content = path.read_bytes()
    for size in {0, 5, 8, 100, len(content) // 2, len(content) - 1}:
        path.write_bytes(content[:size])
        with pytest.raises(SceneError, match=r"scene\.tif") as caught:
            open_scene(SceneRef(kind="geotiff", href=str(path)))
        assert caught.value.hint


@given(data=st.data())
@settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_file_is_an_error_or_reads(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(_example(tmp_path))
    for _ in range(data.draw(st.integers(1, 4))):
        # Most bytes are pixels; the directories are where damage does something.
        place = data.draw(st.one_of(st.integers(0, 600), st.integers(0, len(content) - 1)))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.tif"
    path.write_bytes(content)
    ref = SceneRef(kind="geotiff", href=str(path), options=(("georef", "none"),))
    try:
        scene = open_scene(ref)
    except SceneError as error:
        told = str(error)
    else:
        info = scene.info
        window = Window(row=0, col=0, height=min(info.height, 50), width=min(info.width, 50))
        with contextlib.suppress(SceneError):
            scene.read(window, tuple(band.index for band in info.bands))
        scene.close()
        told = info.source
    assert "damaged.tif" in told


def _example(folder: Path) -> bytes:
    import rasterio

    path = folder / "example.tif"
    if not path.exists():
        profile = {"driver": "GTiff", "count": 3, "height": 70, "width": 90, "dtype": "uint8"}
        with rasterio.open(
            path, "w", **profile, crs="EPSG:32633", nodata=0, compress="deflate"
        ) as file:
            file.write(PIXELS)
    return path.read_bytes()


def test_a_directory_that_points_to_itself_ends(geotiff: Callable[..., Path]) -> None:
    content = bytearray(geotiff(PIXELS).read_bytes())
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    content[start + 2 + 12 * count : start + 6 + 12 * count] = start.to_bytes(4, "little")
    assert len(_layout(bytes(content)).pages) == 1


def test_262_bytes_that_claim_terabytes_cost_262_bytes() -> None:
    entries = [(256, 4, 1, 65535), (257, 4, 1, 900), (277, 3, 1, 65535), (273, 4, 2**31, 200)]
    body = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, count, value in entries
    )
    content = b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little") + body + bytes(4)
    with pytest.raises(BrokenTiffError, match="the limit is"):
        _layout(content.ljust(262, b"\0"))


def _patched(content: bytes, tag: int, value: int) -> bytes:
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    changed = bytearray(content)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if int.from_bytes(content[entry : entry + 2], "little") == tag:
            kind = int.from_bytes(content[entry + 2 : entry + 4], "little")
            size = {3: 2, 4: 4}[kind]
            changed[entry + 8 : entry + 8 + size] = value.to_bytes(size, "little")
    return bytes(changed)


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (256, 20, "uncompressed blocks"),
        (257, 60_000, "claims 60000 rows"),
        (256, 0, "0 columns"),
        (277, 900, "900 bands, the limit is 256"),
        (274, 6, "orientation tag is 6"),
        (262, 5, "cmyk"),
        (262, 8, "cielab"),
    ],
)
def test_a_header_that_lies_is_refused(
    tag: int, value: int, says: str, geotiff: Callable[..., Path]
) -> None:
    path = geotiff(PIXELS, ORIENTATION="1")
    content = path.read_bytes()
    if tag == 274:  # GDAL writes no orientation; put it in place of a tag nobody needs
        content = _renamed(content, 284, 274)
    path.write_bytes(_patched(content, tag, value))
    with pytest.raises(SceneError, match=says):
        open_scene(SceneRef(kind="geotiff", href=str(path)))


def _renamed(content: bytes, old: int, new: int) -> bytes:
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    changed = bytearray(content)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if int.from_bytes(content[entry : entry + 2], "little") == old:
            changed[entry : entry + 2] = new.to_bytes(2, "little")
    return bytes(changed)


def test_one_block_of_many_megabytes_is_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(
        np.zeros((1, 20, 20), np.uint8),
        tiled=True,
        blockxsize=16384,
        blockysize=16384,
        compress="deflate",
    )
    with pytest.raises(SceneError, match="a single block of it takes 256 MiB"):
        open_scene(SceneRef(kind="geotiff", href=str(path)))


def test_too_many_pixels_are_refused_unless_allowed(geotiff: Callable[..., Path]) -> None:
    path = str(geotiff(PIXELS))
    limited = SceneRef(kind="geotiff", href=path, options=(("max_pixels", "100"),))
    with pytest.raises(SceneError, match="70 x 90 pixels, the limit is 100"):
        open_scene(limited)


def test_zero_blocks_at_the_end_are_counted(geotiff: Callable[..., Path]) -> None:
    pixels = PIXELS.copy()
    pixels[:, 50:] = 0
    path = geotiff(pixels, blockysize=10)
    page = _layout(path.read_bytes()).scene
    assert zero_tail(str(path), page) == 2
    info = open_scene(SceneRef(kind="geotiff", href=str(path))).info
    assert any("last 2 of its 7 blocks" in warning for warning in info.warnings)


def test_compressed_blocks_of_zero_bytes_are_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(PIXELS, compress="deflate", blockysize=10)
    content = bytearray(path.read_bytes())
    page = _layout(bytes(content)).scene
    last = int(np.argmax(page.offsets))
    start, size = int(page.offsets[last]), int(page.counts[last])
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(SceneError, match="hold only zero bytes"):
        open_scene(SceneRef(kind="geotiff", href=str(path)))
