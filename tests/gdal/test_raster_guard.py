"""Only drivers that decode pixels are left, in every thread, and pyogrio keeps its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pyogrio
import pytest
import rasterio
from rasterio.errors import RasterioIOError

from pipeline.errors import ConfigError
from pipeline.gdal import bindings as gdal
from pipeline.gdal.raster_guard import ALLOWED, check_guard, install_guard

pytestmark = pytest.mark.mapping


def test_nothing_but_the_allowed_drivers_is_left() -> None:
    assert set(gdal.raster_drivers()) <= ALLOWED
    check_guard()


def test_the_guard_holds_in_other_threads() -> None:
    found: list[object] = []

    def look() -> None:
        with rasterio.Env() as env:
            found.append(set(env.drivers()) <= ALLOWED)
        found.append(gdal.setting("GDAL_PAM_ENABLED"))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [True, "NO"]


def test_a_second_registration_brings_nothing_back() -> None:
    gdal.raster_library().GDALAllRegister()
    install_guard()
    assert set(gdal.raster_drivers()) <= ALLOWED


def test_vector_formats_stay() -> None:
    assert {"GeoJSON", "GPKG", "FlatGeobuf"} <= set(pyogrio.list_drivers())


@pytest.mark.parametrize("driver", [None, "GTiff"])
def test_a_virtual_raster_over_any_file_does_not_open(tmp_path: Path, driver: str | None) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(400))
    path = tmp_path / "scene.tif"
    path.write_text(
        '<VRTDataset rasterXSize="20" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{secret}</SourceFilename>'
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(RasterioIOError):
        rasterio.open(path, driver=driver)


def test_without_the_guard_that_would_have_opened() -> None:
    code = (
        "import rasterio, warnings; warnings.simplefilter('ignore')\n"
        'text = \'<VRTDataset rasterXSize="1" rasterYSize="1">'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>\'\n'
        "rasterio.open(text).close()\n"
        "from pipeline.errors import ConfigError\n"
        "from pipeline.gdal.raster_guard import check_guard, install_guard\n"
        "try:\n    check_guard()\nexcept ConfigError:\n    print('off')\n"
        "install_guard()\ncheck_guard()\nprint('on')\n"
    )
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["off", "on"]


def test_the_check_fails_where_a_driver_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdal, "raster_drivers", lambda: {"GTiff": 1, "VRT": 2})
    with pytest.raises(ConfigError, match="VRT"):
        check_guard()
