"""VRT mosaics: read as GDAL reads them, without its driver; what computes is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.scenes.find import find_scenes
from pipeline.scenes.nodata import with_nodata
from pipeline.scenes.open import fingerprint, open_scene
from pipeline.scenes.scene import Scene, SceneRef
from pipeline.scenes.vrt.dataset import parse_vrt
from pipeline.scenes.vrt.xml import VrtSyntaxError
from tests.strategies import examples

ORIGIN = Affine(0.5, 0, 500_000, 0, -0.5, 5_500_000)
_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}

_ORACLE = """
import sys
import rasterio
for line in sys.stdin:
    source, target = line.rstrip("\\n").split("\\t")
    with rasterio.open(source) as vrt:
        profile = {**vrt.profile, "driver": "GTiff", "tiled": False}
        profile.pop("blockxsize", None), profile.pop("blockysize", None)
        with rasterio.open(target, "w", **profile) as file:
            file.write(vrt.read())
            file.colorinterp = vrt.colorinterp
            for band in vrt.indexes:
                file.set_band_description(band, vrt.descriptions[band - 1])
    print("written", flush=True)
"""


@pytest.fixture(scope="module")
def translate() -> Iterator[Callable[[Path], Path]]:
    """Return what makes a GeoTIFF of a VRT with GDAL's own driver, in a process without a guard."""
    process = subprocess.Popen(
        [sys.executable, "-c", _ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    into, out = process.stdin, process.stdout
    assert into is not None
    assert out is not None

    def convert(vrt: Path) -> Path:
        target = vrt.with_name(f"{vrt.stem}_gdal.tif")
        into.write(f"{vrt}\t{target}\n")
        into.flush()
        assert out.readline() == "written\n"
        return target

    yield convert
    into.close()
    process.wait(timeout=30)
    out.close()


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A file, and where it lies in the mosaic."""

    file: str
    window: Window
    nodata: float | None = None


def box(row: int, col: int, height: int, width: int) -> Window:
    return Window(row=row, col=col, height=height, width=width)


def source(file: str, band: int, place: Window, *, nodata: float | None = None) -> str:
    """Return a source as gdalbuildvrt writes it."""
    kind = "SimpleSource" if nodata is None else "ComplexSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="1">{file}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{place.width}" RasterYSize="{place.height}" '
        'DataType="Byte" BlockXSize="256" BlockYSize="1" />'
        f'<SrcRect xOff="0" yOff="0" xSize="{place.width}" ySize="{place.height}" />'
        f'<DstRect xOff="{place.col}" yOff="{place.row}" xSize="{place.width}" '
        f'ySize="{place.height}" />'
        + ("" if nodata is None else f"<NODATA>{nodata:g}</NODATA>")
        + f"</{kind}>"
    )


def vrt(
    path: Path,
    size: tuple[int, int],
    bands: Sequence[str],
    *,
    dtype: str = "uint8",
    srs: str = "EPSG:32633",
    more: str = "",
) -> Path:
    """Write a VRT whose bands hold the elements given."""
    t = ORIGIN
    inner = "".join(
        f'<VRTRasterBand dataType="{_TYPES[dtype]}" band="{number}">{elements}</VRTRasterBand>'
        for number, elements in enumerate(bands, 1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}">\n'
        f'  <SRS dataAxisToSRSAxisMapping="1,2">{srs}</SRS>\n'
        f"  <GeoTransform> {t.c!r}, {t.a!r}, {t.b!r}, {t.f!r}, {t.d!r}, {t.e!r}</GeoTransform>\n"
        f"{more}{inner}</VRTDataset>\n"
    )
    return path


def write(path: Path, pixels: np.ndarray, window: Window, **profile: object) -> Path:
    """Write an array as a GeoTIFF at a window of the mosaic's grid."""
    path.parent.mkdir(exist_ok=True, parents=True)
    given = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
        "crs": "EPSG:32633",
        "transform": ORIGIN @ Affine.translation(window.col, window.row),
    }
    with rasterio.open(path, "w", **{**given, **profile}) as file:
        file.write(pixels)
    return path


def opened(path: Path, **options: str) -> Scene:
    found = find_scenes([str(path)], options)
    for failure in found.failures:
        raise failure
    return open_scene(found.refs[0])


def refusal(path: Path) -> str:
    found = find_scenes([str(path)])
    if found.failures:
        return str(found.failures[0])
    with pytest.raises(SceneError) as caught:
        open_scene(found.refs[0])
    return str(caught.value)


def same_pixels(mine: Scene, theirs: Scene, bands: tuple[int, ...]) -> None:
    """Assert that two scenes have the same size, place, names, and valid pixels."""
    assert (mine.info.height, mine.info.width) == (theirs.info.height, theirs.info.width)
    assert mine.info.georef == theirs.info.georef
    assert mine.info.dtype == theirs.info.dtype
    whole = box(0, 0, mine.info.height, mine.info.width)
    own, fine = mine.read(whole, bands)
    expected, true = theirs.read(whole, bands)
    np.testing.assert_array_equal(fine, true)
    np.testing.assert_array_equal(own[:, fine], expected[:, true])
    part = box(whole.height // 3, whole.width // 4, whole.height // 2, whole.width // 2)
    rows, cols = part.within(whole)
    cut, there = mine.read(part, bands)
    np.testing.assert_array_equal(there, fine[rows, cols])
    np.testing.assert_array_equal(cut[:, there], own[:, rows, cols][:, there])
    mine.close()
    theirs.close()


places = st.builds(
    box, st.integers(-6, 30), st.integers(-6, 40), st.integers(1, 25), st.integers(1, 25)
)


@settings(max_examples=examples(25))
@given(
    tiles=st.lists(places, max_size=6).map(lambda others: [box(3, 5, 20, 30), *others]),
    nodata=st.sampled_from([None, 0, 7, 255]),
    dtype=st.sampled_from(["uint8", "uint16"]),
    seed=st.integers(0, 2**31),
)
def test_a_mosaic_has_the_pixels_that_gdal_reads(
    tmp_path_factory: pytest.TempPathFactory,
    translate: Callable[[Path], Path],
    tiles: list[Window],
    nodata: int | None,
    dtype: str,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("vrt")
    rng = np.random.default_rng(seed)
    bands: list[list[str]] = [[], [], []]
    for number, place in enumerate(tiles):
        gray = rng.integers(1, 9, (1, place.height, place.width)).astype(dtype)
        pixels = np.concatenate([gray, gray + gray.dtype.type(1), gray])
        if nodata is not None:
            # The same pixels in all bands: GDAL lets each band by itself show what is below.
            pixels[:, rng.random(pixels.shape[1:]) < 0.3] = nodata
            pixels[1][(pixels != nodata).any(axis=0) & (pixels[1] == nodata)] = 100
            pixels[0][(pixels != nodata).any(axis=0) & (pixels[0] == nodata)] = 100
            pixels[2][(pixels != nodata).any(axis=0) & (pixels[2] == nodata)] = 100
        write(folder / "tiles" / f"{number}.tif", pixels, place, photometric="RGB")
        for band, elements in enumerate(bands, 1):
            elements.append(source(f"tiles/{number}.tif", band, place, nodata=nodata))
    declared = 0 if nodata is None else nodata
    head = [
        f"<NoDataValue>{declared}</NoDataValue><ColorInterp>{c}</ColorInterp>"
        for c in ("Red", "Green", "Blue")
    ]
    path = vrt(
        folder / "town.vrt",
        (40, 50),
        [start + "".join(elements) for start, elements in zip(head, bands, strict=True)],
        dtype=dtype,
    )
    mine = opened(path)
    assert [band.colour for band in mine.info.bands] == ["red", "green", "blue"]
    assert mine.info.name == "town"
    same_pixels(mine, opened(translate(path)), (3, 1, 2))


@settings(max_examples=examples(15))
@given(
    tiles=st.lists(st.tuples(st.integers(0, 2), places), min_size=3, max_size=7),
    nodata=st.sampled_from([0, 255]),
    seed=st.integers(0, 2**31),
)
def test_bands_in_files_of_their_own_are_one_scene_as_gdal_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    translate: Callable[[Path], Path],
    tiles: list[tuple[int, Window]],
    nodata: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("stack")
    rng = np.random.default_rng(seed)
    whole = box(0, 0, 40, 50)
    bands = []
    for band in range(3):
        elements = f"<NoDataValue>{nodata}</NoDataValue><Description>B{band + 2:02}</Description>"
        for number, (_, place) in enumerate([(0, whole), *(t for t in tiles if t[0] == band)]):
            pixels = rng.integers(0, 3, (1, place.height, place.width)).astype(np.uint8)
            pixels[pixels == 0] = nodata
            name = f"b{band}_{number}.tif"
            write(folder / name, pixels, place)
            elements += source(name, 1, place, nodata=nodata)
        bands.append(elements)
    path = vrt(folder / "stack.vrt", (40, 50), bands)
    mine = opened(path)
    assert [band.name for band in mine.info.bands] == ["b02", "b03", "b04"]
    same_pixels(mine, opened(translate(path)), (3, 1))


def test_the_shared_mosaic_is_its_tiles(
    shared: Path, translate: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = shared / "cases" / "11-formats-refused"
    copy = tmp_path / "mosaic.vrt"
    copy.write_bytes((folder / "mosaic.vrt").read_bytes())
    (tmp_path / "tiles").mkdir()
    for tile in (folder / "tiles").iterdir():
        (tmp_path / "tiles" / tile.name).write_bytes(tile.read_bytes())
    assert opened(folder / "mosaic.vrt").info.bands == opened(copy).info.bands
    same_pixels(opened(copy), opened(translate(copy)), (1, 2, 3))


def test_alpha_of_the_files_counts_and_an_added_alpha_says_where_files_lie(tmp_path: Path) -> None:
    pixels = np.full((4, 8, 10), 50, np.uint8)
    pixels[3, :4] = 0
    write(tmp_path / "a.tif", pixels, box(0, 0, 8, 10), photometric="RGB", alpha="yes")
    place = box(0, 0, 8, 10)
    rgba = [
        f"<ColorInterp>{colour}</ColorInterp>" + source("a.tif", band, place)
        for band, colour in enumerate(("Red", "Green", "Blue", "Alpha"), 1)
    ]
    scene = opened(vrt(tmp_path / "rgba.vrt", (8, 12), rgba))
    assert [band.colour for band in scene.info.bands] == ["red", "green", "blue"]
    valid = scene.read(box(0, 0, 8, 12), (1, 2, 3))[1]
    expected = np.zeros((8, 12), bool)
    expected[4:, :10] = True
    np.testing.assert_array_equal(valid, expected)
    added = source("a.tif", 1, place, nodata=9).replace(
        "<NODATA>9</NODATA>", "<ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
    )
    scene = opened(
        vrt(
            tmp_path / "added.vrt", (8, 12), [*rgba[:3], f"<ColorInterp>Alpha</ColorInterp>{added}"]
        )
    )
    np.testing.assert_array_equal(scene.read(box(0, 0, 8, 12), (1,))[1], expected)


def test_a_nodata_value_of_the_user_replaces_those_of_the_mosaic(tmp_path: Path) -> None:
    pixels = np.full((1, 6, 6), 7, np.uint8)
    pixels[0, 0, 0], pixels[0, 1, 1] = 3, 9
    place = box(0, 0, 6, 6)
    write(tmp_path / "a.tif", pixels, place)
    elements = "<NoDataValue>3</NoDataValue>" + source("a.tif", 1, place, nodata=3)
    path = vrt(tmp_path / "one.vrt", (6, 6), [elements])
    (ref,) = find_scenes([str(path)]).refs

    def missing(scene: SceneRef) -> list[list[int]]:
        return np.argwhere(~open_scene(scene).read(place, (1,))[1]).tolist()

    assert missing(ref) == [[0, 0]]
    assert missing(with_nodata(ref, 9)) == [[1, 1]]
    assert missing(with_nodata(ref, "none")) == []


def test_a_fingerprint_tells_content_and_layout_and_not_how_the_file_is_written(
    tmp_path: Path,
) -> None:
    place = box(0, 0, 6, 6)
    write(tmp_path / "a.tif", np.full((1, 6, 6), 7, np.uint8), place)
    path = vrt(tmp_path / "one.vrt", (6, 8), [source("a.tif", 1, place)])

    def now() -> str:
        return fingerprint(find_scenes([str(path)]).refs[0])

    first = now()
    path.write_text(path.read_text().replace("><", ">\n   <") + "<!-- newer -->")
    assert now() == first
    assert opened(path).info.fingerprint == first
    moved = vrt(tmp_path / "one.vrt", (6, 8), [source("a.tif", 1, box(0, 2, 6, 6))])
    second = now()
    assert moved == path
    assert second != first
    write(tmp_path / "a.tif", np.full((1, 6, 6), 8, np.uint8), place)
    assert now() not in (first, second)


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a VRT of one band with these elements, beside a file ``a.tif``."""
    write(tmp_path / "a.tif", np.full((1, 6, 6), 7, np.uint8), box(0, 0, 6, 6))

    def made(elements: str, **more: str) -> Path:
        return vrt(tmp_path / "bad.vrt", (6, 6), [elements], **more)

    return made


ALPHA = "<ColorInterp>Alpha</ColorInterp>"
SOUND = source("a.tif", 1, box(0, 0, 6, 6))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SimpleSource", "KernelFilteredSource", "<KernelFilteredSource>"),
        ("SimpleSource", "AveragedSource", "<AveragedSource>"),
        ("SimpleSource", "ArraySource", "<ArraySource>"),
        ("SimpleSource", "NoDataFromMaskSource", "<NoDataFromMaskSource>"),
        ("</SimpleSource>", "<LUT>0:1,255:2</LUT></SimpleSource>", "has a <LUT>"),
        ("</SimpleSource>", "<OpenOptions/></SimpleSource>", "has a <OpenOptions>"),
        ("</SimpleSource>", "<ScaleRatio>2</ScaleRatio></SimpleSource>", "<ScaleRatio>"),
        ("<SourceBand>1", "<SourceBand>mask,1", "'mask,1', not the number"),
        ("<SourceBand>1", "<SourceBand>0", "'0', not the number"),
        (
            '<DstRect xOff="0" yOff="0" xSize="6"',
            '<DstRect xOff="0" yOff="0" xSize="3"',
            "resampled",
        ),
        ('<SrcRect xOff="0"', '<SrcRect xOff="0.5"', "0.5, no whole pixels"),
        ('<SrcRect xOff="0"', '<SrcRect xOff="nan"', "no whole pixels"),
        ("a.tif", "../a.tif", "does not lie below its own folder"),
        ("a.tif", "/etc/hostname", "does not lie below its own folder"),
        ("a.tif", "https://example.invalid/a.tif", "is no file beside it"),
        ("a.tif", "/vsicurl/https://example.invalid/a.tif", "is no file beside it"),
        ("a.tif", "/vsimem/a.tif", "is no file beside it"),
        ("a.tif", "&lt;VRTDataset/&gt;", "is no file beside it"),
        ("a.tif", "NETCDF:a.nc:band", "does not exist"),
        ("a.tif", "gone.tif", "does not exist"),
        ("a.tif", "bad.vrt", "is a VRT itself"),
        ("a.tif", "", "has no <SourceFilename>"),
    ],
)
def test_what_computes_or_leads_away_is_refused_by_name(
    one: Callable[..., Path], old: str, new: str, message: str
) -> None:
    assert old in SOUND
    said = refusal(one(SOUND.replace(old, new)))
    assert message in said
    assert "\n" not in said
    assert len(said) < 700


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("<MaskBand/>", "it has a <MaskBand>"),
        ("<GCPList/>", "it has a <GCPList>"),
        ("<GDALWarpOptions/>", "it has a <GDALWarpOptions>"),
        ("<PansharpeningOptions/>", "it has a <PansharpeningOptions>"),
        ("<Group/>", "it has a <Group>"),
    ],
)
def test_other_kinds_of_virtual_rasters_are_refused_by_name(
    one: Callable[..., Path], head: str, message: str
) -> None:
    said = refusal(one(SOUND, more=head))
    assert message in said
    assert "rio convert" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<VRTDataset", "no sound XML"),
        ("<html/>", "its root is <html>"),
        ("", "no sound XML"),
        ('<VRTDataset rasterXSize="5" rasterYSize="5"/>', "it has no bands"),
        ('<VRTDataset rasterXSize="0" rasterYSize="5"/>', "rasterXSize is '0'"),
        ('<VRTDataset rasterXSize="5" rasterYSize="-1"/>', "rasterYSize is '-1'"),
        ('<VRTDataset subClass="VRTWarpedDataset"/>', "VRTWarpedDataset"),
        (
            '<VRTDataset rasterXSize="5" rasterYSize="5"><VRTRasterBand dataType="Byte" '
            'subClass="VRTDerivedRasterBand"/></VRTDataset>',
            "VRTDerivedRasterBand",
        ),
        (
            '<VRTDataset rasterXSize="5" rasterYSize="5"><VRTRasterBand dataType="CFloat32"/>'
            "</VRTDataset>",
            "CFloat32",
        ),
        ('<VRTDataset rasterXSize="5" rasterYSize="5">' + "<a>" * 5000, "nested more than"),
        (
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
            '<VRTDataset rasterXSize="5" rasterYSize="5">&b;</VRTDataset>',
            "document type",
        ),
        (
            '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><VRTDataset/>',
            "document type",
        ),
    ],
)
def test_damaged_and_hostile_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.vrt"
    path.write_text(text)
    assert message in refusal(path)


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.tif", np.ones((1, 6, 6), np.uint8), box(0, 0, 6, 6))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.tif").symlink_to(outside)
    assert "does not lie below" in refusal(vrt(folder / "x.vrt", (6, 6), [SOUND]))


def test_files_that_do_not_fit_what_the_mosaic_says_are_refused(tmp_path: Path) -> None:
    place = box(0, 0, 6, 6)
    write(tmp_path / "a.tif", np.ones((1, 6, 6), np.uint16), place)
    assert "its pixels are uint16" in refusal(vrt(tmp_path / "x.vrt", (6, 6), [SOUND]))
    write(tmp_path / "a.tif", np.ones((1, 5, 6), np.uint8), place)
    assert "5 x 6 pixels" in refusal(vrt(tmp_path / "x.vrt", (6, 6), [SOUND]))
    away = source("a.tif", 1, box(6, 0, 6, 6))
    assert "lies inside it" in refusal(vrt(tmp_path / "x.vrt", (6, 6), [away]))
    write(tmp_path / "a.tif", np.ones((1, 6, 6), np.uint8), place)
    second = SOUND.replace("<SourceBand>1", "<SourceBand>2")
    assert "it has the bands 1" in refusal(vrt(tmp_path / "x.vrt", (6, 6), [second]))
    assert "coordinate reference system" in refusal(
        vrt(tmp_path / "x.vrt", (6, 6), [SOUND], srs="")
    )
    given = opened(vrt(tmp_path / "x.vrt", (6, 6), [SOUND], srs=""), crs="EPSG:32633")
    assert given.info.georef is not None
    pixels = opened(vrt(tmp_path / "x.vrt", (6, 6), [SOUND], srs=""), crs="none")
    assert pixels.info.georef is None


def test_a_vrt_under_another_name_and_in_a_folder_of_scenes_is_not_mapped_twice(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.tif", np.ones((1, 6, 6), np.uint8), box(0, 0, 6, 6))
    path = vrt(tmp_path / "town.vrt", (6, 6), [SOUND])
    found = find_scenes([str(tmp_path)])
    assert [Path(ref.href).name for ref in found.refs] == ["a.tif"]
    disguised = path.rename(tmp_path / "town.tif")
    said = refusal(disguised)
    assert "virtual raster (VRT)" in said
    assert "town.vrt" in said
    (tmp_path / "alone").mkdir()
    disguised.rename(tmp_path / "alone" / "town.vrt")
    with pytest.raises(ConfigError, match=r"name .*town\.vrt itself"):
        find_scenes([str(tmp_path / "alone")])


def test_mosaics_of_many_files_are_parsed_in_little_time() -> None:
    place = box(0, 0, 256, 256)
    bands = [
        "".join(
            source(f"tiles/{number}.tif", band, box(0, 256 * number, place.height, place.width))
            for number in range(2_000)
        )
        for band in (1, 2, 3)
    ]
    inner = "".join(
        f'<VRTRasterBand dataType="Byte" band="{n}">{b}</VRTRasterBand>'
        for n, b in enumerate(bands, 1)
    )
    data = f'<VRTDataset rasterXSize="512000" rasterYSize="256">{inner}</VRTDataset>'.encode()
    began = time.process_time()
    found = parse_vrt(data)
    assert len(found.bands[2].sources) == 2_000
    # 0.2 s where types are not checked: nothing is read twice for each of many.
    assert time.process_time() - began < 30


@settings(max_examples=examples(60))
@given(data=st.data())
def test_changed_bytes_are_refused_or_parsed(data: st.DataObject) -> None:
    text = (
        f'<VRTDataset rasterXSize="6" rasterYSize="6"><SRS>EPSG:32633</SRS>'
        f'<VRTRasterBand dataType="Byte" band="1">{SOUND}</VRTRasterBand></VRTDataset>'
    ).encode()
    changed = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b"<", b'"', b"-9", b"1e999"]))
        )
        changed[at : at + data.draw(st.integers(0, 8))] = piece
    with suppress(VrtSyntaxError):
        assert parse_vrt(bytes(changed)).bands
