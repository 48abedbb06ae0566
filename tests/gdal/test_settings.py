"""No option of the environment or of a gdalrc reaches either GDAL."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyogrio._ogr
import pytest
import rasterio

from pipeline.errors import ConfigError
from pipeline.gdal import bindings as gdal
from pipeline.gdal.environment import access_settings
from pipeline.gdal.raster_guard import install_guard
from pipeline.gdal.settings import (
    BLOCK_CACHE_BYTES,
    LEAST_CACHE_BYTES,
    RASTER,
    VECTOR,
    _check_options,
    cache_bytes,
)
from pipeline.gdal.vector_guard import pyogrio as guarded
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from tests.gdal.options import HOSTILE, home, option_names
from tests.mapping.scenery import write_scene

pytestmark = pytest.mark.mapping

CHECKOUT = Path(__file__).resolve().parents[2]


def test_no_option_is_heeded_that_is_set_later(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded()
    vector = ctypes.CDLL(pyogrio._ogr.__file__)
    vector.CPLGetConfigOption.restype = ctypes.c_char_p
    names = option_names()
    assert {"GTIFF_POINT_GEO_IGNORE", "CENTER_LONG", "SHAPE_ENCODING"} <= {*names}
    for name in names:
        monkeypatch.setenv(name, "odd")
    install_guard()
    for name in names:
        assert gdal.setting(name) != "odd", name
        assert vector.CPLGetConfigOption(name.encode(), None) != b"odd", name


def test_a_scene_of_points_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_scene(tmp_path / "s.tif", np.ones((1, 9, 9), np.uint8))
    with rasterio.open(path, "r+") as scene:
        scene.update_tags(AREA_OR_POINT="Point")
    before = open_scene(SceneRef(kind="geotiff", href=str(path))).info.georef
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    copied = path.with_name("copy.tif")
    copied.write_bytes(path.read_bytes())
    assert open_scene(SceneRef(kind="geotiff", href=str(copied))).info.georef == before


LATE = """
import json, rasterio, pyogrio
with rasterio.Env(): pass
from pipeline.gdal import bindings as gdal
from pipeline.gdal.proj import GEOGRAPHIC, PROJECTED
from pipeline.gdal.raster_guard import install_guard
seen = gdal.setting("GTIFF_POINT_GEO_IGNORE"), pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
install_guard()
from pipeline.gdal.vector_guard import pyogrio as guarded
guarded()
import pyproj
from rasterio.warp import transform
with rasterio.Env():
    data = gdal.setting("GDAL_DATA")
names = "GTIFF_POINT_GEO_IGNORE AWS_REGION GDAL_HTTP_TIMEOUT GDAL_HTTP_MAX_RETRY CPL_LOG".split()
print(json.dumps({
    "seen": seen,
    "raster": {name: gdal.setting(name) for name in names},
    "vector": pyogrio.get_gdal_config_option("OGR_CURRENT_DATE"),
    "theirs": pyogrio.get_gdal_config_option("CPL_TIMESTAMP"),
    "cache": gdal.raster_library().GDALGetCacheMax(),
    "network": pyproj.network.is_network_enabled(),
    "rasterio": [value[0] for value in transform(32645, 4326, *[[x] for x in PROJECTED])],
    "data": data,
}))
"""


def test_a_worker_that_has_loaded_both_before_is_put_right(tmp_path: Path) -> None:
    there = home(tmp_path / "home")
    # pyogrio loads pyproj, which would keep them: see `test_environment`.
    shutil.rmtree(there / ".local")
    hostile = {k: v for k, v in HOSTILE.items() if k not in {"GDAL_SKIP", "OGR_SKIP", "CPL_DEBUG"}}
    theirs = {"HOME": str(there), "PROJ_DATA": str(tmp_path), "GDAL_DATA": str(tmp_path)}
    access = {"AWS_REGION": "eu-west-9", "GDAL_HTTP_TIMEOUT": "7", "GDAL_HTTP_MAX_RETRY": "often"}
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PROJ_", "GDAL_"))}
    done = subprocess.run(
        [sys.executable, "-c", LATE],
        cwd=CHECKOUT,
        env=outside | hostile | theirs | access | {"GDAL_CACHEMAX": "32"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["seen"] == ["YES", "2020-01-01T00:00:00Z"]
    assert found["raster"] == {
        "GTIFF_POINT_GEO_IGNORE": None,
        "AWS_REGION": "eu-west-9",
        "GDAL_HTTP_TIMEOUT": "7",
        "GDAL_HTTP_MAX_RETRY": RASTER["GDAL_HTTP_MAX_RETRY"],
        "CPL_LOG": None,
    }
    assert found["vector"] == VECTOR["OGR_CURRENT_DATE"]
    assert found["theirs"] is None
    assert found["cache"] == 32 * 2**20
    assert found["network"] is False
    assert found["rasterio"] == pytest.approx([84.98249434, 27.10797952], abs=1e-7)
    assert Path(found["data"], "gdalvrt.xsd").is_file()


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [
        ("32", 32),
        ("64MB", 64),
        ("67108864", 64),
        # At most what --max-memory counts on, at least a few rows of blocks.
        ("8000", 96),
        ("1", 16),
        ("0", 16),
        ("10%", 96),
        ("lots", 96),
        ("", 96),
    ],
)
def test_the_cache_is_as_large_as_is_said_within_limits(text: str, mebibytes: int) -> None:
    assert cache_bytes(text) == mebibytes * 2**20
    assert LEAST_CACHE_BYTES <= cache_bytes(text) <= BLOCK_CACHE_BYTES


def test_a_gdal_that_heeds_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Heeding(ctypes.CDLL):
        def __init__(self) -> None:
            """Load nothing."""

        def CPLGetConfigOption(self, name: bytes, _: None) -> bytes | None:  # noqa: N802 - GDAL's
            return os.environb.get(name)

    monkeypatch.setenv("SOME_OPTION", "1")
    with pytest.raises(ConfigError, match=r"rasterio takes options from the environment .*wheel"):
        _check_options(Heeding(), "rasterio", {})


def test_both_have_the_options_that_are_listed() -> None:
    ogr = guarded()
    set_later = {"GDAL_NUM_THREADS"}  # by whoever writes rasters
    for name, value in RASTER.items():
        assert name in set_later or gdal.setting(name) == access_settings().get(name, value)
    assert gdal.setting("GDAL_CONFIG_FILE") == os.devnull
    assert {name: ogr.get_gdal_config_option(name) for name in VECTOR} == {
        **VECTOR,
        "GDAL_NUM_THREADS": 1,
    }
