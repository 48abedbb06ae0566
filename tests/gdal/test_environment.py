"""Variables that GDAL and PROJ heed are removed from the environment, but for those of access."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.gdal.environment import (
    access_settings,
    isolate_environment,
    unused_settings,
)

pytestmark = pytest.mark.mapping

FIXED = ("GDAL_CONFIG_FILE", "PROJ_NETWORK", "PROJ_USER_WRITABLE_DIRECTORY")


@pytest.mark.parametrize(
    "name",
    [
        *("GTIFF_POINT_GEO_IGNORE", "GDAL_GEOREF_SOURCES", "OGR_SQLITE_JOURNAL", "CPL_TMPDIR"),
        *("CPL_DEBUG", "GDAL_DRIVER_PATH", "OGR_DRIVER_PATH", "GDAL_HTTP_UNSAFESSL"),
        *("PROJ_DATA", "PROJ_LIB", "PROJ_DEBUG", "PROJ_AUX_DB", "GDAL_DATA", "COMPRESS_OVERVIEW"),
        *("JPEGMEM", "LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", "VSI_CACHE", "SPATIALITE_SECURITY"),
    ],
)
def test_an_option_is_removed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/odd")
    isolate_environment()
    assert name not in os.environ


@pytest.mark.parametrize(
    "name",
    [
        *("https_proxy", "GDAL_HTTP_PROXY", "AWS_ACCESS_KEY_ID", "AWS_S3_ENDPOINT", "GS_SECRET"),
        *("AZURE_STORAGE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "CURL_CA_BUNDLE"),
        *("GDAL_HTTP_BEARER", "GDAL_CACHEMAX", "SQLITE_TMPDIR", "OMP_NUM_THREADS", "OVERTILE_URL"),
    ],
)
def test_access_and_what_belongs_to_others_stay(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "theirs")
    isolate_environment()
    assert os.environ[name] == "theirs"


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("GDAL_HTTP_TIMEOUT", "7", True),
        ("GDAL_HTTP_RETRY_DELAY", "0.5", True),
        ("GDAL_HTTP_MAX_RETRY", "0", True),
        # Nobody waits for ever.
        ("GDAL_HTTP_TIMEOUT", "0", False),
        ("GDAL_HTTP_CONNECTTIMEOUT", "soon", False),
        ("GDAL_HTTP_LOW_SPEED_TIME", "-3", False),
        ("GDAL_HTTP_TIMEOUT", "", False),
        ("GDAL_HTTP_UNSAFESSL", "YES", False),
        ("HOMEPAGE", "x", False),
    ],
)
def test_times_are_taken_where_they_are_numbers(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, taken: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert (access_settings().get(name) == value) is taken


def test_certificates_that_are_named_go_before_those_of_rasterio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GDAL_CURL_CA_BUNDLE", "/somewhere/certifi/cacert.pem")
    assert "GDAL_CURL_CA_BUNDLE" in access_settings()
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/theirs.pem")
    assert "GDAL_CURL_CA_BUNDLE" not in access_settings()
    monkeypatch.setenv("GDAL_CURL_CA_BUNDLE", "/etc/others.pem")
    assert access_settings()["GDAL_CURL_CA_BUNDLE"] == "/etc/others.pem"


def test_what_was_meant_is_listed_and_what_conda_sets_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OGR_ODD_OPTION", "GDAL_DATA", "PROJ_DATA", "GDAL_DRIVER_PATH"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HOME", str(tmp_path))
    isolate_environment()
    assert "OGR_ODD_OPTION" in unused_settings()
    assert not {"GDAL_DATA", "PROJ_DATA", "GDAL_DRIVER_PATH", "PROJ_NETWORK"} & {*unused_settings()}
    assert "~/.gdal/gdalrc" not in unused_settings()
    (tmp_path / ".gdal").mkdir()
    (tmp_path / ".gdal" / "gdalrc").touch()
    assert "~/.gdal/gdalrc" in unused_settings()


@pytest.mark.parametrize("variable", ["PROJ_USER_WRITABLE_DIRECTORY", "XDG_DATA_HOME", "HOME"])
def test_grids_that_pyproj_has_found_already_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in (*FIXED, "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    below = {"XDG_DATA_HOME": "proj", "HOME": ".local/share/proj"}.get(variable, "")
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "us_noaa_conus.tif").touch()
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(str(folder))):
        isolate_environment()
    (folder / "us_noaa_conus.tif").unlink()
    isolate_environment()
    assert os.environ["PROJ_USER_WRITABLE_DIRECTORY"] == os.devnull
