"""Files of formats that are not read are refused with a command, and the command works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline.errors import SceneError
from pipeline.scenes.find import find_scenes
from pipeline.scenes.foreign import appearance, filled, hint
from pipeline.scenes.jp2 import header
from pipeline.scenes.open import open_scene
from tests.jpeg2000 import write_jp2

PIXELS = np.arange(1200, dtype=np.uint8).reshape(1, 30, 40)
WRITE = """
import sys, rasterio, rasterio.shutil
for driver, target, options in {jobs!r}:
    rasterio.shutil.copy({source!r}, target, driver=driver, **options)
"""
JOBS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("netCDF", "classic.nc", {"FORMAT": "NC2"}),
    ("netCDF", "hdf5.nc", {"FORMAT": "NC4"}),
    ("ENVI", "pixels.envi", {}),
    ("EHdr", "pixels.bil", {}),
    ("AAIGrid", "grid.asc", {}),
    ("GPKG", "raster.gpkg", {}),
)
"""Drivers that a run does not have: the files are written by another process."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder: commands are named from there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of each format; its name has a space and a quote."""
    place = tmp_path_factory.mktemp("it's here")
    profile = {"count": 1, "height": 30, "width": 40, "dtype": "uint8", "crs": "EPSG:32633"}
    transform = rasterio.Affine(10, 0, 300_000, 0, -10, 4_500_000)
    with rasterio.open(
        place / "s.tif", "w", driver="GTiff", transform=transform, **profile
    ) as file:
        file.write(PIXELS)
    jobs = [(driver, str(place / name), options) for driver, name, options in JOBS]
    code = WRITE.format(jobs=jobs, source=str(place / "s.tif"))
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


def refused(path: Path) -> SceneError:
    """Return why a file is refused."""
    (ref,) = find_scenes((str(path),)).refs
    with pytest.raises(SceneError) as caught:
        open_scene(ref)
    return caught.value


def commands(words: str) -> list[str]:
    """Return the commands of rasterio that a message has."""
    return re.findall(
        r"\S*\brio\b (?:info --subdatasets|convert) .*?(?= lists them|$| writes one)", words
    )


@pytest.mark.parametrize("name", [name for _, name, _ in JOBS])
def test_the_command_in_the_message_converts_the_file(
    folder: Path, tmp_path: Path, name: str
) -> None:
    error = refused(folder / name)
    assert "it is not a TIFF; it looks like a" in error.reason
    found = commands(error.hint)
    assert found, error.hint
    for command in found:
        # The variable is called so by the driver that wrote the file.
        line = command.replace(":VARIABLE", ":Band1")
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        if "--subdatasets" not in line:
            target = tmp_path / shlex.split(line)[-1]
    scene = open_scene(find_scenes((str(target),), {"crs": "none"}).refs[0])
    assert (scene.info.height, scene.info.width) == (30, 40)


def test_a_jpeg_2000_whose_tiles_are_too_large_is_converted_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jp2(tmp_path / "s.jp2", PIXELS)
    monkeypatch.setattr(header, "MAX_STORED_BYTES", 10)
    line = refused(path).hint.partition("GeoTIFF: ")[2]
    done = subprocess.run(
        line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (line, done.stderr)
    scene = open_scene(find_scenes((str(tmp_path / "s.tif"),)).refs[0])
    assert scene.info.georef is not None


@pytest.mark.parametrize(
    ("name", "head", "looks", "says"),
    [
        ("/a/s.hdf", b"\x0e\x03\x13\x01", "an HDF4 file", "libgdal-hdf4"),
        ("/a/s.ecw", b"\x65\x02\x00\x00", "an ECW file", "gdal_translate /a/s.ecw s.tif"),
        ("/a/s.sid", b"msid\x01", "a MrSID file", "gdal_translate /a/s.sid s.tif"),
        ("/a/s.tif.gz", b"\x1f\x8b\x08", "a gzip archive", "gunzip /a/s.tif.gz"),
        ("/a/s.tif", b"\0\0\0\x0cjP  ", "a JPEG 2000 image", "name it s.jp2"),
        ("/a/s.tif", b"PK\3\4", "a ZIP archive", "name it s.zip, or unpack it"),
        ("/a/s.png", b"II*\0", "a TIFF image", "name it s.tif"),
        ("https://h/a%20b.nc?k=1", b"CDF\1", "a NetCDF file", "fetch it, and convert"),
    ],
)
def test_what_no_command_converts_has_another_way_out(
    name: str, head: bytes, looks: str, says: str
) -> None:
    assert appearance(name, head) == f"it looks like {looks}"
    assert says in hint(name, head)


def test_names_are_quoted_for_a_shell() -> None:
    words = filled("{source} {netcdf} {target}", "/a b/it's $HOME.nc")
    assert shlex.split(words) == [
        "/a b/it's $HOME.nc",
        "netcdf:/a b/it's $HOME.nc:VARIABLE",
        "it's $HOME.tif",
    ]
    assert shlex.split(filled("{source}", "https://h/a%20b.nc?key=1"))[-1] == "a b.nc"
