"""GeoTIFFs: where they lie, what their bands are, where they are valid, what is refused."""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from rasterio.transform import Affine

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.scenes.open import fingerprint, open_scene
from pipeline.scenes.scene import Scene, SceneRef

RGB = np.random.default_rng(1).integers(1, 255, (3, 60, 80), np.uint8)
MARS = (
    'GEOGCS["GCS_Mars_2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000_IAU_IAG",3396190,'
    '169.894447223612]],PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]]'
)


def opened(path: Path, **options: str) -> Scene:
    """Open a GeoTIFF with options."""
    return open_scene(
        SceneRef(kind="geotiff", href=str(path), options=tuple(sorted(options.items())))
    )


def refused(path: Path, **options: str) -> SceneError:
    """Return why a GeoTIFF is refused."""
    with pytest.raises(SceneError) as caught:
        opened(path, **options)
    assert path.name in str(caught.value)
    return caught.value


def read_all(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return all bands of all pixels."""
    info = scene.info
    whole = Window(row=0, col=0, height=info.height, width=info.width)
    return scene.read(whole, tuple(band.index for band in info.bands))


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.5, 0, 5e5, 0, -0.5, 5.5e6),
        Affine(0.5, 0, 5e5, 0, 0.5, 5.5e6),
        Affine(-0.5, 0, 5e5, 0, -0.5, 5.5e6),
        Affine(0.4, 0.3, 5e5, 0.3, -0.4, 5.5e6),
        Affine(0.5, 0.1, 5e5, 0, -0.7, 5.5e6),
    ],
    ids=["north-up", "south-up", "westward", "turned", "sheared"],
)
def test_any_affine_grid_is_kept_as_it_is(transform: Affine, geotiff: Callable[..., Path]) -> None:
    georef = opened(geotiff(RGB, transform=transform)).info.georef
    assert georef is not None
    assert georef.transform == pytest.approx(tuple(transform)[:6], rel=1e-12)
    assert georef.crs.to_epsg() == 32633


def test_without_crs_it_is_refused_and_the_option_helps(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, crs=None)
    assert "--crs" in refused(path).hint
    georef = opened(path, crs="EPSG:32645").info.georef
    assert georef is not None
    assert georef.crs.to_epsg() == 32645
    assert opened(path, georef="none").info.georef is None


def test_an_assumed_crs_does_not_replace_the_files_own(geotiff: Callable[..., Path]) -> None:
    info = opened(geotiff(RGB), crs="EPSG:32645").info
    assert info.georef is not None
    assert info.georef.crs.to_epsg() == 32633
    assert any("assumed" in warning for warning in info.warnings)


def test_a_crs_that_no_one_knows_is_refused(geotiff: Callable[..., Path]) -> None:
    assert "not understood" in refused(geotiff(RGB, crs=None), crs="EPSG:999999").reason


def test_without_a_transform_it_is_refused(geotiff: Callable[..., Path]) -> None:
    assert "no geotransform" in refused(geotiff(RGB, transform=Affine.identity())).reason
    bare = refused(geotiff(RGB, "bare.tif", transform=Affine.identity(), crs=None))
    assert "CRS" in bare.reason


@pytest.mark.parametrize(
    "transform",
    [
        Affine(1, 0, 0, 0, -1, 0),
        Affine(1, 0, 0, 0, -1, 50),
        Affine(1, 0, -0.5, 0, 1, -0.5),
        Affine(1, 0, 0, 0, 1, 0),
    ],
)
def test_a_transform_that_numbers_the_pixels_is_none(
    transform: Affine, geotiff: Callable[..., Path]
) -> None:
    path = geotiff(np.zeros((1, 50, 80), np.uint8), transform=transform)
    assert "but no geotransform" in refused(path).reason


def test_degrees_in_a_system_of_metres_are_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, transform=Affine(5e-6, 0, 15, 0, -5e-6, 45))
    assert "its pixels are 5e-06 m on the ground: are its numbers degrees" in refused(path).reason


def test_a_grid_of_whole_degrees_from_greenwich_is_a_place(geotiff: Callable[..., Path]) -> None:
    grid = Affine(1, 0, 0, 0, -1, 0)
    path = geotiff(np.full((1, 50, 80), 9, np.uint8), crs="EPSG:4326", transform=grid)
    georef = opened(path).info.georef
    assert georef is not None
    assert georef.transform == (1, 0, 0, 0, -1, 0)


def test_mars_is_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, crs=MARS, transform=Affine(0.001, 0, 10, 0, -0.001, 10))
    assert "not of the Earth" in refused(path).reason


def test_a_local_system_is_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, crs='LOCAL_CS["site grid",UNIT["metre",1]]')
    assert "local" in refused(path).reason


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (Affine(0.01, 0, 0, 0, -0.01, 90.1), "latitude 90.1"),
        (Affine(0.5, 0, 5e5, 0, -0.5, 80), "longitude"),
        (Affine(0.01, 0, 0, 0, 0, 80), "maps no area"),
    ],
)
def test_impossible_degrees_are_refused(
    transform: Affine, says: str, geotiff: Callable[..., Path]
) -> None:
    assert says in refused(geotiff(RGB, crs="EPSG:4326", transform=transform)).reason


def test_the_whole_earth_by_cell_centres_is_fine(geotiff: Callable[..., Path]) -> None:
    pixels = np.ones((1, 181, 360), np.float32)
    path = geotiff(pixels, crs="EPSG:4326", transform=Affine(1, 0, -180.5, 0, -1, 90.5))
    assert opened(path).info.georef is not None


def _points(bend: float) -> list[GroundControlPoint]:
    places = [(0, 0), (0, 80), (60, 0), (60, 80), (30, 40)]
    return [
        GroundControlPoint(
            row=row, col=col, x=5e5 + 0.5 * col + bend * row * col, y=5.5e6 - 0.5 * row
        )
        for row, col in places
    ]


def test_control_points_on_an_affine_grid_place_it_with_a_warning(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB, crs=None, transform=Affine.identity())
    with rasterio.open(path, "r+") as file:
        file.gcps = (_points(0), "EPSG:32633")
    info = opened(path).info
    assert info.georef is not None
    assert info.georef.transform == pytest.approx((0.5, 0, 5e5, 0, -0.5, 5.5e6), abs=1e-6)
    assert any("control points" in warning for warning in info.warnings)


def test_control_points_that_bend_are_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, crs=None, transform=Affine.identity())
    with rasterio.open(path, "r+") as file:
        file.gcps = (_points(0.001), "EPSG:32633")
    assert "miss an affine grid" in refused(path).reason


def test_control_points_that_are_no_numbers_are_refused(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, crs=None, transform=Affine.identity())
    points = [*_points(0), GroundControlPoint(row=1, col=1, x=float("nan"), y=0)]
    with rasterio.open(path, "r+") as file:
        file.gcps = (points, "EPSG:32633")
    assert "not all of which are numbers" in refused(path).reason


def test_a_scene_far_from_its_zone_is_mapped_with_a_warning(geotiff: Callable[..., Path]) -> None:
    far = geotiff(RGB, transform=Affine(0.5, 0, 3_500_000, 0, -0.5, 5_500_000))
    (doubt,) = opened(far).info.warnings
    assert re.fullmatch(r"it lies \d+ degrees from the meridian of .*: is that its zone\?", doubt)
    near = geotiff(RGB, name="near.tif", transform=Affine(0.5, 0, 900_000, 0, -0.5, 5_500_000))
    assert opened(near).info.warnings == ()
    over_180 = Affine(0.5, 0, 833_970, 0, -0.5, 10_000)
    both = geotiff(RGB, name="both.tif", crs="EPSG:32660", transform=over_180)
    assert opened(both).info.warnings == ()


def test_nodata_that_is_no_number_is_told_and_not_used(geotiff: Callable[..., Path]) -> None:
    path = geotiff(np.where(RGB > 90, RGB, 0).astype(np.uint8), nodata=255)
    path.write_bytes(path.read_bytes().replace(b"255\0", b"n/a\0"))
    scene = opened(path)
    assert scene.info.nodata is None
    assert scene.info.warnings == ("its nodata 'n/a' is no number; it is not used",)
    assert read_all(scene)[1].all()


def test_bands_are_named_and_alpha_is_not_one_of_them(geotiff: Callable[..., Path]) -> None:
    path = geotiff(np.concatenate([RGB, RGB[:1]]))
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [
            ColorInterp.blue,
            ColorInterp.green,
            ColorInterp.red,
            ColorInterp.alpha,
        ]
        file.set_band_description(2, "Green 560 nm")
        file.scales, file.offsets = (0.5,) * 4, (-1.0,) * 4
    bands = opened(path).info.bands
    assert [band.colour for band in bands] == ["blue", "green", "red"]
    assert [band.name for band in bands] == ["blue", "green 560 nm", "red"]
    assert {(band.scale, band.offset) for band in bands} == {(0.5, -1.0)}


def test_complex_pixels_are_refused(geotiff: Callable[..., Path]) -> None:
    assert "complex" in refused(geotiff(RGB[:1].astype(np.complex64))).reason


def test_a_palette_shows_as_the_bands_colour(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB[:1], photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0, 255), 7: (255, 0, 0, 255)})
    assert [band.colour for band in opened(path).info.bands] == ["palette"]


def test_alpha_comes_before_nodata(geotiff: Callable[..., Path]) -> None:
    pixels = np.concatenate([RGB, np.full((1, 60, 80), 255, np.uint8)])
    pixels[3, :10], pixels[:3, 20:] = 0, 0
    scene = opened(geotiff(pixels, nodata=0, photometric="rgb", alpha="yes"))
    _, valid = read_all(scene)
    np.testing.assert_array_equal(valid, pixels[3] > 0)
    assert any("alpha" in warning for warning in scene.info.warnings)


def test_a_mask_beside_the_file_counts_and_is_part_of_the_fingerprint(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB)
    before = opened(path).info.fingerprint
    mask = np.ones((60, 80), bool)
    mask[:25] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    assert Path(f"{path}.msk").exists()
    scene = opened(path)
    np.testing.assert_array_equal(read_all(scene)[1], mask)
    changed = scene.info.fingerprint
    Path(f"{path}.msk").write_bytes(b"no mask")
    assert len({before, changed, fingerprint(SceneRef(kind="geotiff", href=str(path)))}) == 3


def test_an_aux_xml_that_moves_the_scene_is_ignored(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB)
    Path(f"{path}.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>9,1,0,9,0,-1</GeoTransform></PAMDataset>"
    )
    info = opened(path).info
    assert info.georef is not None
    assert info.georef.crs.to_epsg() == 32633
    assert info.georef.transform[2] == 500_000
    assert any(".aux.xml" in warning for warning in info.warnings)


def test_the_files_own_place_beats_a_world_file(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB)
    path.with_suffix(".tfw").write_text("9\n0\n0\n-9\n0\n0\n")
    georef = opened(path).info.georef
    assert georef is not None
    assert georef.transform[0] == 0.5


def test_overviews_are_never_read(geotiff: Callable[..., Path]) -> None:
    path = geotiff(np.zeros((3, 256, 256), np.uint8) + 7, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(np.full((3, 256, 256), 200, np.uint8))
    assert (read_all(opened(path))[0] == 200).all()


def test_not_finite_pixels_are_invalid_in_the_bands_asked_for(
    geotiff: Callable[..., Path],
) -> None:
    pixels = RGB.astype(np.float32)
    pixels[0, 3, 4], pixels[1, 5, 6] = np.nan, np.inf
    scene = opened(geotiff(pixels))
    window = Window(row=0, col=0, height=60, width=80)
    assert not scene.read(window, (1, 2))[1][[3, 5], [4, 6]].any()
    assert scene.read(window, (3,))[1].all()


def test_one_band_equal_to_nodata_is_enough_only_for_a_sentinel(
    geotiff: Callable[..., Path],
) -> None:
    pixels = RGB.astype(np.int16)
    pixels[0, 10, 10] = -9999
    assert not read_all(opened(geotiff(pixels, nodata=-9999)))[1][10, 10]
    dark = RGB.copy()
    dark[0] = 0
    assert read_all(opened(geotiff(dark, "dark.tif", nodata=0)))[1].all()


def test_the_selected_bands_alone_decide_what_is_nodata(
    geotiff: Callable[..., Path],
) -> None:
    pixels = np.zeros((3, 200, 200), np.uint8)
    pixels[2] = 9
    scene = opened(geotiff(pixels, nodata=0))
    window = Window(row=0, col=0, height=200, width=200)
    assert not scene.read(window, (1,))[1].any()
    assert scene.read(window, (1, 3))[1].all()


def test_nodata_that_does_not_fit_is_told_and_not_used(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, nodata=77)
    path.write_bytes(path.read_bytes().replace(b"77\0", b"-9\0"))
    scene = opened(path)
    assert any("-9" in warning for warning in scene.info.warnings)
    assert read_all(scene)[1].all()


def test_only_the_first_of_several_images_is_mapped_with_a_warning(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB)
    again = geotiff(RGB, "second.tif")
    with rasterio.open(again) as file:
        copy(file, path, driver="GTiff", APPEND_SUBDATASET="YES")
    info = opened(path).info
    assert any("2 images" in warning for warning in info.warnings)


def directory(content: bytes | bytearray, at: int) -> tuple[dict[int, int], int]:
    """Return where the entries of a little-endian directory lie, by tag, and its last pointer."""
    (count,) = struct.unpack_from("<H", content, at)
    places = range(at + 2, at + 2 + 12 * count, 12)
    tags = {struct.unpack_from("<H", content, place)[0]: place for place in places}
    return tags, at + 2 + 12 * count


def with_mask(path: Path) -> bytearray:
    """Return a GeoTIFF with a mask inside it, whose second directory is the mask's."""
    mask = np.ones((60, 80), bool)
    mask[:25] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    return bytearray(path.read_bytes())


def test_a_copy_or_mask_that_comes_first_is_not_taken_for_the_scene(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB)
    content = with_mask(path)
    (first,) = struct.unpack_from("<I", content, 4)
    (second,) = struct.unpack_from("<I", content, directory(content, first)[1])
    tags, last = directory(content, second)
    # The mask first, then the scene, then nothing.
    struct.pack_into("<I", content, 4, second)
    struct.pack_into("<I", content, last, first)
    struct.pack_into("<I", content, directory(content, first)[1], 0)
    for kind, what in ((4, "a mask"), (1, "a reduced copy")):
        struct.pack_into("<I", content, tags[254] + 8, kind)
        path.write_bytes(content)
        for options in ({}, {"georef": "none"}):
            assert f"its first image is {what} of one" in refused(path, **options).reason


def test_a_mask_inside_of_another_size_is_ignored_with_a_warning(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB)
    content = with_mask(path)
    assert opened(path).info.warnings == ()
    (first,) = struct.unpack_from("<I", content, 4)
    (second,) = struct.unpack_from("<I", content, directory(content, first)[1])
    struct.pack_into("<H", content, directory(content, second)[0][257] + 8, 30)
    path.write_bytes(content)
    scene = opened(path)
    assert scene.info.warnings == ("the mask inside it is not of its size, and is ignored",)
    assert read_all(scene)[1].all()


def test_a_damaged_block_is_named_by_its_rows(geotiff: Callable[..., Path]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 4096, 4096), np.uint8)
    path = geotiff(pixels, compress="deflate", tiled=True, blockxsize=512, blockysize=512)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = os.urandom(4000)
    path.write_bytes(content)
    scene = opened(path)
    with pytest.raises(SceneError, match=r"rows \d+ to \d+, columns .* cannot be read") as caught:
        read_all(scene)
    assert "ZIPDecode" in caught.value.reason


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"II*\0\x08", "ends after 5 bytes"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b'{"type": "Feature"}', "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "PNG"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b"<MRF_META></MRF_META>", "MRF"),
        (b"<VRTDataset></VRTDataset>", "VRT"),
        (bytes(100), "starts with the bytes 00 00"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"SQLite format 3\0" + bytes(90), "GeoPackage"),
        (b"Service unavailable", "starts with 'Service unavailable'"),
    ],
)
def test_what_is_no_tiff_is_called_by_its_name(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(content)
    assert says in refused(path).reason


def test_names_that_only_gdal_understands_are_refused() -> None:
    for href in (
        "/vsizip/a.zip/b.tif",
        "vrt://a.tif",
        "GTIFF_DIR:1:a.tif",
        "relative.tif",
        "file:///x",
    ):
        with pytest.raises(SceneError):
            open_scene(SceneRef(kind="geotiff", href=href))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="kind 'nitf'"):
        open_scene(SceneRef(kind="nitf", href="/a"))


def test_a_changed_file_has_another_fingerprint(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB)
    ref = SceneRef(kind="geotiff", href=str(path))
    before = fingerprint(ref)
    assert before == fingerprint(ref) == open_scene(ref).info.fingerprint
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert fingerprint(ref) != before


def test_content_that_differs_from_what_the_item_states_is_refused(
    geotiff: Callable[..., Path],
) -> None:
    path = geotiff(RGB)
    assert "sha256" in refused(path, sha256="0" * 64).reason
    right = fingerprint(SceneRef(kind="geotiff", href=str(path))).removeprefix("sha256:")
    opened(path, sha256=right)


def test_threads_that_open_their_own_read_the_same(geotiff: Callable[..., Path]) -> None:
    pixels = np.random.default_rng(2).integers(1, 255, (3, 512, 512), np.uint8)
    path = geotiff(pixels, compress="deflate", tiled=True, blockxsize=64, blockysize=64, nodata=0)
    wrong: list[int] = []

    def look(seed: int) -> None:
        scene = opened(path)
        for row, col in np.random.default_rng(seed).integers(0, 400, (20, 2)).tolist():
            part, _ = scene.read(Window(row=row, col=col, height=100, width=100), (3, 1))
            if not np.array_equal(part, pixels[[2, 0], row : row + 100, col : col + 100]):
                wrong.append(seed)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_date_comes_from_option_tag_or_name(geotiff: Callable[..., Path]) -> None:
    path = geotiff(RGB, "area_20240517T103000_rgb.tif")
    assert opened(path).info.datetime == "2024-05-17T10:30:00Z"
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2023:01:02 03:04:05")
    assert opened(path).info.datetime == "2023-01-02T03:04:05Z"
    assert opened(path, datetime="2020-02-02").info.datetime == "2020-02-02T00:00:00Z"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    assert "regular" in refused(tmp_path / "pipe.tif").reason
    assert "regular" in refused(tmp_path).reason
