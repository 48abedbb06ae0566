"""JPEG 2000: what is whole is read to the pixel, what is not, or not supported, is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import CRS

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.find import find_scenes
from pipeline.scenes.jp2 import header
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import Scene, SceneRef
from tests.forked import _FORKS
from tests.jpeg2000 import patched, with_box, write_jp2
from tests.scenes.conftest import Site

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (3, 90, 130), np.uint8)
PLACE = (0.5, 0, 500_000, 0, -0.5, 5_500_000)
WORLD = "0.5\n0\n0\n-0.5\n500000.25\n5499999.75\n"


def opened(path: Path, **options: str) -> Scene:
    """Return an open scene, found as a command line finds it."""
    found = find_scenes((str(path),), options)
    assert not found.failures
    assert [ref.kind for ref in found.refs] == ["jp2"]
    return open_scene(found.refs[0])


def everything(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return all pixels of all bands of imagery, and where they are valid."""
    whole = Window(row=0, col=0, height=scene.info.height, width=scene.info.width)
    return scene.read(whole, tuple(band.index for band in scene.info.bands))


@pytest.mark.parametrize(
    ("pixels", "options", "bits"),
    [
        (RGB, {}, 8),
        (RGB[:1].astype(np.uint16) * 257, {}, 16),
        (RGB.astype(np.uint16) * 16, {"NBITS": "12"}, 12),
        (RGB.astype(np.int16) - 128, {}, 16),
        (np.vstack([RGB, RGB])[:5], {"RESOLUTIONS": "3", "PROGRESSION": "RPCL"}, 8),
        (RGB, {"BLOCKXSIZE": "64", "BLOCKYSIZE": "32", "PLT": "YES", "TLM": "YES"}, 8),
    ],
    ids=["8 bits", "16 bits", "12 bits", "signed", "5 bands", "tiles"],
)
def test_pixels_are_read_as_they_were_written(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, str], bits: int
) -> None:
    scene = opened(write_jp2(tmp_path / "s.jp2", pixels, **options))
    found, valid = everything(scene)
    np.testing.assert_array_equal(found, pixels)
    assert (found.dtype, scene.info.bits) == (pixels.dtype, bits)
    assert valid.all()
    assert scene.info.georef is not None
    assert scene.info.georef.crs.to_epsg() == 32633
    assert scene.info.georef.transform == PLACE
    for _ in range(12):  # across the borders of tiles
        row, col = int(RNG.integers(0, 80)), int(RNG.integers(0, 120))
        window = Window(
            row=row,
            col=col,
            height=int(RNG.integers(1, 90 - row)),
            width=int(RNG.integers(1, 130 - col)),
        )
        part, _ = scene.read(window, (1,))
        rows, cols = slice(row, window.bottom), slice(col, window.right)
        np.testing.assert_array_equal(part[0], pixels[0, rows, cols])


def test_an_image_of_one_large_tile_is_read_in_windows(tmp_path: Path) -> None:
    pixels = np.kron(RNG.integers(0, 200, (1, 55, 65), np.uint8), np.ones((1, 20, 20), np.uint8))
    options = {"BLOCKXSIZE": "1300", "BLOCKYSIZE": "1100"}
    scene = opened(write_jp2(tmp_path / "s.jp2", pixels, **options))
    assert scene.info.block == (1024, 1024)
    for window in (
        Window(row=1000, col=1000, height=60, width=60),
        Window(row=1023, col=0, height=2, width=1300),
        Window(row=0, col=1023, height=1100, width=1),
    ):
        part, _ = scene.read(window, (1,))
        rows, cols = slice(window.row, window.bottom), slice(window.col, window.right)
        np.testing.assert_array_equal(part[0], pixels[0, rows, cols])


@pytest.mark.parametrize("without", ["GEOJP2", "GMLJP2"])
def test_each_georeference_inside_is_enough(tmp_path: Path, without: str) -> None:
    scene = opened(write_jp2(tmp_path / "s.jp2", RGB, **{without: "NO"}))
    assert scene.info.georef is not None
    assert scene.info.georef.crs.to_epsg() == 32633
    assert scene.info.georef.transform == PLACE


def test_code_blocks_of_high_throughput_are_refused(tmp_path: Path) -> None:
    path = patched(write_jp2(tmp_path / "s.jp2", RGB), 12, b"\x40", after=b"\xff\x52\0")
    with pytest.raises(SceneError, match="HTJ2K"):
        opened(path)


def test_an_image_that_begins_off_its_grids_corner_is_refused(tmp_path: Path) -> None:
    path = write_jp2(tmp_path / "s.j2k", RGB, CODEC="J2K")
    for at, value in ((8, 135), (16, 5), (24, 135)):
        patched(path, at, value.to_bytes(4, "big"))
    with pytest.raises(SceneError, match="first pixel is at row 0, column 5 of its grid"):
        opened(path)


def _unplaced(path: Path) -> Path:
    return write_jp2(path, RGB, GEOJP2="NO", GMLJP2="NO", WORLDFILE="NO")


def test_without_any_georeference_it_is_mapped_in_pixels(tmp_path: Path) -> None:
    assert opened(_unplaced(tmp_path / "s.jp2")).info.georef is None
    for _ in range(3):  # GDAL leaves the numbers as memory holds them
        bare = write_jp2(tmp_path / "s.j2k", RGB, CODEC="J2K")
        assert opened(bare).info.georef is None


@pytest.mark.parametrize(
    ("name", "world", "aside", "crs"),
    [
        ("s.jp2", "s.j2w", "prj", ""),
        ("s.jp2", "s.wld", "", "EPSG:32633"),
        ("s.j2k", "s.j2kw", "aux", ""),
        ("s.jp2", "", "aux with transform", ""),
    ],
)
def test_files_beside_it_place_it_as_they_place_a_picture(
    tmp_path: Path, name: str, world: str, aside: str, crs: str
) -> None:
    path = _unplaced(tmp_path / "s.jp2")
    if name.endswith("j2k"):
        path = write_jp2(tmp_path / name, RGB, CODEC="J2K")
    before = content_digest(str(path))
    wkt = CRS("EPSG:32633").to_wkt("WKT1_GDAL")
    if world:
        (tmp_path / world).write_text(WORLD)
    if aside == "prj":
        path.with_suffix(".prj").write_text(wkt)
    elif aside:
        numbers = "500000, 0.5, 0, 5500000, 0, -0.5"
        more = f"<GeoTransform>{numbers}</GeoTransform>" if "transform" in aside else ""
        text = f"<PAMDataset><SRS>{wkt}</SRS>{more}</PAMDataset>"
        Path(f"{path}.aux.xml").write_text(text)
    info = opened(path, **({"crs": crs} if crs else {})).info
    assert info.georef is not None
    assert info.georef.crs.to_epsg() == 32633
    assert info.georef.transform == pytest.approx(PLACE)
    assert content_digest(str(path)) != before
    assert opened(path, crs="none").info.georef is None


def test_a_world_file_does_not_override_the_georeference_inside(tmp_path: Path) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB)
    (tmp_path / "s.j2w").write_text("9\n0\n0\n-9\n0\n0\n")
    info = opened(path).info
    assert info.georef is not None
    assert info.georef.transform == PLACE


def test_a_damaged_world_file_is_refused(tmp_path: Path) -> None:
    path = _unplaced(tmp_path / "s.jp2")
    (tmp_path / "s.j2w").write_text("0.5\n0\n0\nnorth\n1\n2\n")
    with pytest.raises(SceneError, match="north"):
        opened(path, crs="EPSG:32633")


@pytest.mark.parametrize("one_bit", [False, True])
def test_alpha_is_validity(tmp_path: Path, one_bit: bool) -> None:
    pixels = np.vstack([RGB, np.where(RGB[:1] > 99, 255, 0).astype(np.uint8)])
    options = {"photometric": "RGB", "alpha": "YES", "1BIT_ALPHA": "YES" if one_bit else "NO"}
    scene = opened(write_jp2(tmp_path / "s.jp2", pixels, **options))
    assert (len(scene.info.bands), scene.info.alpha, scene.info.validity) == (3, 4, "alpha")
    found, valid = everything(scene)
    np.testing.assert_array_equal(found, RGB)
    np.testing.assert_array_equal(valid, pixels[3] > 0)


def test_nodata_is_named_by_option_or_beside_it(tmp_path: Path) -> None:
    pixels = RGB.copy()
    pixels[:, 10:20, 30:40] = 7
    path = write_jp2(tmp_path / "s.jp2", pixels)
    assert everything(opened(path))[1].all()
    scene = open_scene(SceneRef(kind="jp2", href=str(path), options=(("nodata", "7"),)))
    missing = (pixels == 7).all(axis=0)
    np.testing.assert_array_equal(everything(scene)[1], ~missing)
    bands = [
        f'<PAMRasterBand band="{n}"><NoDataValue>7</NoDataValue></PAMRasterBand>' for n in "123"
    ]
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{''.join(bands)}</PAMDataset>")
    np.testing.assert_array_equal(everything(opened(path))[1], ~missing)


def test_a_mask_beside_it_is_validity(tmp_path: Path, geotiff: Callable[..., Path]) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB)
    mask = np.where(RGB[:1] > 99, 255, 0).astype(np.uint8)
    geotiff(mask, "m.tif").rename(f"{path}.msk")
    assert "the .msk file beside it is not a mask of it, and is ignored" in (
        opened(path).info.warnings
    )
    masked = geotiff(mask, "m.tif")
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(masked, "r+") as file,
    ):
        file.write_mask(mask[0])
    Path(f"{masked}.msk").rename(f"{path}.msk")
    scene = opened(path)
    assert scene.info.validity == "mask"
    np.testing.assert_array_equal(everything(scene)[1], mask[0] > 0)
    geotiff(mask[:, :50], "m.tif").rename(f"{path}.msk")
    with pytest.raises(SceneError, match="mask beside it"):
        opened(path)


def test_a_palette_shows_as_the_bands_colour(tmp_path: Path) -> None:
    colours = {number: (number, 255 - number, 7, 255) for number in range(256)}
    path = write_jp2(tmp_path / "s.jp2", RGB[:1], colormap=colours)
    assert b"pclr" in path.read_bytes()
    assert [band.colour for band in opened(path).info.bands] == ["palette"]


def test_colours_are_those_that_the_header_names(tmp_path: Path) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB, photometric="RGB")
    assert [band.colour for band in opened(path).info.bands] == ["red", "green", "blue"]


DEPTH, STEP = 42, 43


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (STEP + 3, b"\x02", r"band 2 has a sample for every 1 x 2 pixels .*without subsampling"),
        (DEPTH + 6, b"\x0b", r"band 3 has 12 unsigned bits, band 1 8 unsigned bits; .*same type"),
        (DEPTH + 3, b"\x87", r"band 2 has 8 signed bits, band 1 8 unsigned bits"),
        (DEPTH, b"\x1f", r"band 1 has 32 bits, the limit is 16"),
        (6, b"\x40\x00", r"HTJ2K.*plain JP2"),
        (8, b"\0\0\0\x81", r"header claims rows, columns and bands of \(90, 130, 3\)"),
        (24, b"\0\0\0\0", r"image size \(SIZ\) makes no sense"),
        (24, b"\0\0\0\x01", r"tiles are not there"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_value(
    tmp_path: Path, at: int, value: bytes, words: str
) -> None:
    path = patched(write_jp2(tmp_path / "s.jp2", RGB), at, value)
    with pytest.raises(SceneError, match=words):
        opened(path)


@pytest.mark.parametrize("kind", [b"url ", b"ftbl", b"flst", b"cref", b"dtbl"])
def test_references_to_other_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = with_box(write_jp2(tmp_path / "s.jp2", RGB), kind, b"")
    with pytest.raises(SceneError, match=rf"'{kind.decode().strip()}'.*plain JP2 or GeoTIFF"):
        opened(path)
    inside = with_box(write_jp2(tmp_path / "t.jp2", RGB), b"uinf", b"\0\0\0\x0curl \0\0\0\0")
    with pytest.raises(SceneError, match="'url'"):
        opened(inside)


@pytest.mark.parametrize(("number", "name"), [(18, "sYCC"), (12, "CMYK"), (14, "CIELab")])
def test_other_colour_spaces_are_refused(tmp_path: Path, number: int, name: str) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB, photometric="RGB")
    patched(path, 7, number.to_bytes(4, "big"), after=b"colr")
    with pytest.raises(SceneError, match=f"its colours are {name}; convert it to RGB"):
        opened(path)


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_TILE_BYTES", 4 * 3 * 32 * 64 - 1, r"a tile of it \(32 x 64 pixels, 3 bands\)"),
        ("MAX_TILES_BYTES", 9 * (6000 + 3300) - 1, r"it has 9 tiles of 32 x 64 pixels"),
        ("MAX_STORED_BYTES", 2000, r"as stored, which is read for every window"),
        ("MAX_UNITS", 5, r"code blocks and precincts in 1 quality layers"),
        ("MAX_PACKETS", 5, r"code blocks and precincts in 1 quality layers"),
        ("MAX_BANDS", 2, r"it claims 3 bands, the limit is 2"),
        ("MAX_PIXELS", 90 * 130 - 1, r"it claims 90 x 130 pixels, the limit is"),
    ],
)
def test_what_takes_too_much_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB, BLOCKXSIZE="64", BLOCKYSIZE="32")
    opened(path)
    monkeypatch.setattr(header, limit, value)
    with pytest.raises(SceneError, match=words):
        opened(path)


def test_a_large_tile_and_further_images_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB)
    assert opened(path).info.warnings == ()
    monkeypatch.setattr(header, "LARGE_STORED_BYTES", 10_000)
    twice = tmp_path / "t.jp2"
    twice.write_bytes(path.read_bytes() + b"\0\0\0\x0ajp2c\xff\x4f")
    (large, further) = opened(twice).info.warnings
    assert "MiB as stored, which each thread that reads holds" in large
    assert further == "it holds 2 images; only the first is mapped"


def test_a_bomb_of_code_blocks_is_refused(tmp_path: Path) -> None:
    """A header of some hundred bytes claims 12,000 x 12,000 pixels in code blocks of 4 x 4."""
    path = write_jp2(tmp_path / "s.j2k", RGB[:1], CODEC="J2K", RESOLUTIONS="1")
    for at in (8, 24):
        patched(path, at, (12_000).to_bytes(4, "big") * 2)
    patched(path, 10, b"\0\0", after=b"\xff\x52\0\x0d")
    with pytest.raises(SceneError, match=r"has 9\d{6} code blocks .* tiles of 1024 x 1024"):
        opened(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB, BLOCKXSIZE="64", BLOCKYSIZE="32")
    whole = path.read_bytes()
    for end in {*range(0, 900, 13), *range(900, len(whole) - 2, 997), len(whole) - 3}:
        path.write_bytes(whole[:end])
        with pytest.raises(SceneError):
            opened(path)
    path.write_bytes(whole[:-2] + b"\xff\xd9")
    opened(path)


@pytest.mark.parametrize("name", ["s.jp2", "s.j2k", "s.JP2", "scene.bin"])
def test_its_content_decides_whatever_its_name(tmp_path: Path, name: str) -> None:
    codec = {"CODEC": "J2K"} if name.endswith("j2k") else {"CODEC": "JP2"}
    path = write_jp2(tmp_path / "made", RGB, **codec).rename(tmp_path / name)
    np.testing.assert_array_equal(everything(opened(path))[0], RGB)


def test_a_folder_lists_it_and_a_tiff_of_its_name_is_a_tiff(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    write_jp2(tmp_path / "b.jp2", RGB)
    geotiff(RGB, "a.jp2")
    (tmp_path / "c.jp2").write_bytes(b"<html>not found</html>")
    found = find_scenes((str(tmp_path),))
    assert [ref.kind for ref in found.refs] == ["geotiff", "jp2", "jp2"]
    with pytest.raises(SceneError, match="not a JPEG 2000; it looks like an HTML page"):
        open_scene(found.refs[2])


def test_nothing_is_fetched_for_a_schema_or_dictionary_of_its_gml(
    tmp_path: Path, site: Site
) -> None:
    path = write_jp2(tmp_path / "s.jp2", RGB, GEOJP2="NO")
    data, url = path.read_bytes(), site.url("/a.xsd")
    old = b"http://www.opengis.net/"
    assert data.count(old) >= 2
    place = data.index(old)
    while place >= 0:  # of the same length, so that boxes keep theirs
        new = url.encode()[: len(old)].ljust(len(old), b"/")
        data = data[:place] + new + data[place + len(old) :]
        place = data.find(old, place + len(old))
    path.write_bytes(data)
    linked = f'<a xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{url}"/>'.encode()
    with_box(path, b"xml ", linked)
    found = find_scenes((str(path),), {"crs": "none"})
    everything(open_scene(found.refs[0]))
    with suppress(SceneError):  # the reference system's name was changed as well
        opened(path)
    assert site.asked == []


def _fuzz(folder: Path, seed: int, count: int) -> None:
    """Open changed files; anything but a refusal ends the process with an error."""
    rng = np.random.default_rng(seed)
    pixels = RNG.integers(0, 255, (3, 40, 50), np.uint8)
    seeds = [
        write_jp2(folder / "a.jp2", pixels).read_bytes(),
        write_jp2(folder / "b.jp2", pixels, BLOCKXSIZE="32", BLOCKYSIZE="32").read_bytes(),
        write_jp2(
            folder / "c.jp2",
            pixels,
            QUALITY="30",
            REVERSIBLE="NO",
            PROGRESSION="RPCL",
            PRECINCTS="{64,64},{32,32}",
            CODEBLOCK_STYLE="63",
            RESOLUTIONS="2",
        ).read_bytes(),
        write_jp2(folder / "d.j2k", pixels, CODEC="J2K").read_bytes(),
    ]
    read = 0
    for number in range(count):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(int(rng.choice((1, 1, 2, 4, 16)))):
            reach = len(data) if rng.random() < 0.4 else min(len(data), 900)
            data[int(rng.integers(reach))] = int(rng.integers(256))
        if rng.random() < 0.2:
            del data[int(rng.integers(len(data))) :]
        path = folder / "changed.jp2"
        path.write_bytes(data)
        try:
            scene = open_scene(SceneRef(kind="jp2", href=str(path)))
            everything(scene)
            scene.close()
            read += 1
        except SceneError:
            pass
    os._exit(0 if 0 < read < count else 9)


def test_changed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    child = _FORKS.Process(target=_fuzz, args=(tmp_path, 1, 400))
    child.start()
    child.join(60)
    alive = child.is_alive()
    child.kill()
    child.join()
    assert not alive
    assert child.exitcode == 0
