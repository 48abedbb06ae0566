"""Pictures with a world file and a reference system beside them lie where these say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import CRS

from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneInfo, SceneRef

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
WORLD = "0.3\n0\n0\n-0.3\n400000.15\n1499999.85\n"
TRANSFORM = (0.3, 0, 400_000, 0, -0.3, 1_500_000)
WKT = CRS("EPSG:32651").to_wkt("WKT1_GDAL")
ESRI = CRS("EPSG:32651").to_wkt("WKT1_ESRI")


def picture(folder: Path, name: str = "w.png", **files: str | bytes) -> Path:
    """Write a picture and files beside it, by suffix."""
    path = folder / name
    Image.fromarray(PIXELS).save(path)
    for suffix, content in files.items():
        beside = path.with_suffix(f".{suffix}") if suffix != "aux" else Path(f"{path}.aux.xml")
        beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def opened(path: Path, **options: str) -> SceneInfo:
    """Return what is found of a picture."""
    kind = "geotiff" if path.suffix == ".tif" else "image"
    ref = SceneRef(kind=kind, href=str(path), options=tuple(sorted(options.items())))
    scene = open_scene(ref)
    scene.close()
    return scene.info


def placed(info: SceneInfo) -> tuple[Any, Any]:
    """Return reference system and transform."""
    assert info.georef is not None
    return info.georef.crs.to_epsg(), pytest.approx(info.georef.transform, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("w.png", "pgw"),
        ("w.png", "PGW"),
        ("w.png", "pngw"),
        ("w.png", "wld"),
        ("w.jpg", "jgw"),
        ("w.jpg", "jpgw"),
        ("w.jpeg", "jgw"),
        ("w.jpeg", "WLD"),
        ("W.PNG", "pgw"),
    ],
)
def test_a_world_file_and_the_option_place_a_picture(
    tmp_path: Path, name: str, suffix: str
) -> None:
    info = opened(picture(tmp_path, name, **{suffix: WORLD}), crs="EPSG:32651")
    assert placed(info) == (32651, TRANSFORM)
    assert info.warnings == ()


@pytest.mark.parametrize(
    "files",
    [
        {"prj": WKT},
        {"prj": ESRI},
        {"PRJ": "EPSG:32651"},
        {"aux": f"<PAMDataset><SRS>{WKT}</SRS></PAMDataset>"},
        {
            "aux": "<PAMDataset><Metadata domain='xml:ESRI'><GeodataXform><SpatialReference>"
            f"<WKT>{ESRI}</WKT></SpatialReference></GeodataXform></Metadata></PAMDataset>"
        },
    ],
)
def test_a_file_beside_it_names_the_reference_system(tmp_path: Path, files: dict[str, str]) -> None:
    info = opened(picture(tmp_path, pgw=WORLD, **files))
    assert placed(info) == (32651, TRANSFORM)
    other = opened(picture(tmp_path, pgw=WORLD, **files), crs="EPSG:32652")
    assert placed(other) == (32651, TRANSFORM)
    assert "names its own reference system; the assumed one was not used" in other.warnings[0]


def test_an_aux_xml_file_alone_places_it_and_goes_before_a_world_file(tmp_path: Path) -> None:
    place = "<GeoTransform>400000, 0.3, 0, 1500000, 0, -0.3</GeoTransform>"
    aux = f"<PAMDataset><SRS>{WKT}</SRS>{place}</PAMDataset>"
    assert placed(opened(picture(tmp_path, aux=aux))) == (32651, TRANSFORM)
    both = opened(picture(tmp_path, aux=aux, pgw=WORLD))
    assert both.warnings == ()
    both = opened(picture(tmp_path, aux=aux, pgw=WORLD.replace("400000", "400009")))
    assert placed(both) == (32651, TRANSFORM)
    assert "differs from the .aux.xml file, which is used" in both.warnings[0]


@pytest.mark.parametrize(
    "world",
    [
        "0.26\n0.15\n0.15\n-0.26\n400000.15\n1499999.85\n",
        "\ufeff0,3\r\n0,0\r\n0,0\r\n-0,3\r\n400000,15\r\n1499999,85\r\n\r\n",
        " 3e-1\n0\n0\n.3 \n+400000.15\n1499999.85\nmore\n",
    ],
)
def test_it_lies_where_a_geotiff_with_the_same_world_file_does(
    tmp_path: Path, geotiff: Callable[..., Path], world: str
) -> None:
    tiff = geotiff(np.moveaxis(PIXELS, -1, 0), crs=None, transform=None)
    tiff.with_suffix(".tfw").write_text(world.replace("\ufeff", "").replace(",", "."))
    info = opened(picture(tmp_path, pgw=world), crs="EPSG:32651")
    expected = opened(tiff, crs="EPSG:32651").georef
    assert expected is not None
    assert placed(info) == (32651, expected.transform)


@pytest.mark.parametrize(
    ("files", "options", "warning"),
    [
        ({"pgw": WORLD}, {}, "unless --crs EPSG:... or a .prj file does"),
        ({}, {"crs": "EPSG:32651"}, "--crs, EPSG:32651, is not used: it has no world file (w.pgw)"),
        (
            {"aux": f"<PAMDataset><SRS>{WKT}</SRS></PAMDataset>"},
            {},
            "of the .aux.xml file is not used: it has no world file",
        ),
        ({"pgw": "1\n0\n0\n-1\n0\n0\n", "prj": WKT}, {}, "only counts pixels, and is not used"),
        ({"aux": "<!DOCTYPE a><PAMDataset/>"}, {}, "aux.xml file beside it is not used: it has a"),
        ({"aux": "<PAMDataset><GCPList/></PAMDataset>"}, {}, "control points of the .aux.xml"),
    ],
)
def test_what_does_not_suffice_is_warned_of(
    tmp_path: Path, files: dict[str, str], options: dict[str, str], warning: str
) -> None:
    info = opened(picture(tmp_path, **files), **options)
    assert info.georef is None
    (found,) = info.warnings
    assert warning in found
    assert opened(picture(tmp_path, **files), georef="none").warnings == ()


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"pgw": WORLD.replace("0.3", "1e400")}, "w.pgw, has '1e400', which is no number"),
        ({"pgw": WORLD.replace("0.3", "nan")}, "w.pgw, has 'nan', which is no number"),
        ({"pgw": "0.3\n0\n0\n-0.3\n"}, "w.pgw, has 4 lines, not 6"),
        ({"pgw": ""}, "w.pgw, has 0 lines, not 6"),
        ({"pgw": b"\x89PNG\r\n" * 9}, "which is no number"),
        ({"pgw": "0\n0\n0\n0\n5\n5\n"}, "w.pgw, maps no area"),
        ({"pgw": WORLD, "prj": "/etc/passwd"}, "w.prj, is not understood (it is no WKT)"),
        ({"pgw": WORLD, "prj": "+init=epsg:4326"}, "w.prj, is not understood (it is no WKT)"),
        ({"pgw": WORLD, "prj": 'PROJCS["a"'}, "w.prj, is not understood (unknown to PROJ)"),
        ({"pgw": WORLD, "prj": CRS("EPSG:4326").to_wkt()}, "beyond the pole"),
    ],
)
def test_hostile_files_are_refused_by_name(
    tmp_path: Path, files: dict[str, Any], fault: str
) -> None:
    path = picture(tmp_path, **files)
    options = {} if "prj" in files else {"crs": "EPSG:32651"}
    with pytest.raises(SceneError) as caught:
        opened(path, **options)
    assert fault in str(caught.value)
    assert opened(path, georef="none").georef is None


@pytest.mark.parametrize("suffix", [".prj", ".PRJ", ".png.aux.xml"])
def test_pipes_are_not_waited_for(tmp_path: Path, suffix: str) -> None:
    path = picture(tmp_path)
    os.mkfifo(tmp_path / f"w{suffix}")
    with pytest.raises(SceneError, match="beside it is no regular file; remove that"):
        opened(path)


def test_a_turned_picture_is_not_placed(tmp_path: Path) -> None:
    path = picture(tmp_path, "w.jpg", jgw=WORLD)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(path, exif=exif)
    with pytest.raises(SceneError, match="EXIF orientation is 6"):
        opened(path, crs="EPSG:32651")
    assert "EXIF orientation 6" in opened(path).warnings[1]


def test_what_places_it_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    digests = [content_digest(str(picture(tmp_path)))]
    (tmp_path / "w.prj").write_text(WKT)
    assert content_digest(str(tmp_path / "w.png")) == digests[0]
    (tmp_path / "w.pgw").write_text(WORLD)
    digests.append(content_digest(str(tmp_path / "w.png")))
    (tmp_path / "w.prj").write_text(CRS("EPSG:32652").to_wkt())
    digests.append(content_digest(str(tmp_path / "w.png")))
    (tmp_path / "w.png.aux.xml").write_text("<PAMDataset><SRS>EPSG:32653</SRS></PAMDataset>")
    digests.append(content_digest(str(tmp_path / "w.png")))
    assert len(set(digests)) == 4


def test_crs_none_maps_it_in_pixels(tmp_path: Path) -> None:
    path = picture(tmp_path, pgw=WORLD, prj=WKT)
    (ref,) = find_scenes([str(path)], {"crs": "none"}).refs
    scene = open_scene(ref)
    assert scene.info.georef is None
    assert scene.info.warnings == ()


@pytest.mark.parametrize("values", [("9", "9", "9"), ("9", "8", "7")])
def test_nodata_of_an_aux_xml_file_counts(tmp_path: Path, values: tuple[str, ...]) -> None:
    bands = "".join(
        f"<PAMRasterBand band='{number}'><NoDataValue>{value}</NoDataValue></PAMRasterBand>"
        for number, value in enumerate(values, start=1)
    )
    path = picture(tmp_path, aux=f"<PAMDataset>{bands}</PAMDataset>")
    with rasterio.open(path) as file:
        pixels = file.read()
    pixels[:, 5:9, 5:9] = np.array(values, np.uint8)[:, None, None]
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path)
    scene = open_scene(SceneRef(kind="image", href=str(path)))
    from pipeline.core.window import Window

    valid = scene.read(Window(row=0, col=0, height=40, width=60), (1, 2, 3))[1]
    assert not valid[5:9, 5:9].any()
    assert valid.sum() == 40 * 60 - 16
