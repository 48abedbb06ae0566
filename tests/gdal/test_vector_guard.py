"""The drivers of pyogrio's GDAL that are left, whichever library was imported or used first."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.gdal import vector_guard
from pipeline.gdal.vector_guard import ALLOWED, check_drivers, pyogrio

pytestmark = pytest.mark.mapping

CHECKOUT = Path(__file__).resolve().parents[2]
STEPS = {
    # A driver of references works until the allow-list is on.
    "geopandas": "import geopandas; geopandas.read_file('plain.geojson')",
    "rasterio": (
        "import rasterio\n"
        "with rasterio.Env() as env: env.drivers()\n"
        "rasterio.open('made.vrt').close() if not guarded else None"
    ),
    "guards": (
        "from pipeline.gdal.vector_guard import pyogrio as vectors\n"
        "from pipeline.gdal.raster_guard import install_guard as rasters\n"
        "guarded = [install() for install in GUARDS]"
    ),
}
GUARDS = ("[vectors, rasters]", "[rasters, vectors]")
CHECKED = """
import pyogrio, geopandas, rasterio
for name in ("labels.geojson", "labels.gpkg", "labels.fgb", "served.geojson", "piped.geojson",
             "piped.gdalg.json", "made.vrt"):
    for read in (pyogrio.read_info, pyogrio.raw.read, geopandas.read_file, geopandas.list_layers):
        try:
            read(name)
        except Exception as error:
            assert "DataSourceError" in type(error).__name__, (name, repr(error))
        else:
            raise AssertionError(name)
assert len(geopandas.read_file("plain.geojson")) == 1
try:
    rasterio.open("made.vrt")
except rasterio.errors.RasterioIOError:
    print("refused")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orders")
    (folder / "plain.geojson").write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},'
        '"geometry":{"type":"Point","coordinates":[1,2]}}]}'
    )
    vrt = (
        '<OGRVRTDataSource><OGRVRTLayer name="plain"><SrcDataSource>plain.geojson'
        "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    for name in ("labels.geojson", "labels.gpkg", "labels.fgb"):
        (folder / name).write_text(vrt)
    (folder / "served.geojson").write_text(
        "<OGRWFSDataSource><URL>http://127.0.0.1:9/</URL></OGRWFSDataSource>"
    )
    for name in ("piped.geojson", "piped.gdalg.json"):
        (folder / name).write_text(
            '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! '
            'read plain.geojson ! sql --sql \\"select 1\\""}'
        )
    (folder / "made.vrt").write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"/>'
        "</VRTDataset>"
    )
    return folder


def test_references_are_refused_in_every_order_of_imports_and_calls(folder: Path) -> None:
    def run(case: tuple[tuple[str, ...], str]) -> str:
        order, guards = case
        code = "import warnings; warnings.simplefilter('ignore')\nguarded = []\n"
        code += "\n".join(STEPS[name].replace("GUARDS", guards) for name in order) + CHECKED
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.append({str(CHECKOUT)!r})\n{code}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return "" if done.stdout == "refused\n" else f"{case}: {done.stdout}{done.stderr}"

    cases = zip(itertools.permutations(STEPS), itertools.cycle(GUARDS))
    with ThreadPoolExecutor(2) as pool:
        assert [found for found in pool.map(run, cases) if found] == []


def test_what_writing_needs_is_left_and_nothing_else() -> None:
    names = set(pyogrio().list_drivers())
    assert {"FlatGeobuf", "GPKG", "PMTiles", "GeoJSON"} <= names <= ALLOWED
    assert set(vector_guard.vector_drivers()) <= ALLOWED


def test_a_second_registration_brings_nothing_back() -> None:
    pyogrio()
    vector_guard.vector_library().GDALAllRegister()
    check_drivers()


def test_a_driver_that_came_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_guard, "vector_drivers", lambda: {"GPKG": 1, "OGR_VRT": 2})
    with pytest.raises(ConfigError, match=r"still active \(OGR_VRT\); install pyogrio"):
        check_drivers()


def test_a_document_that_opens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_guard, "_opens", lambda _: True)
    with pytest.raises(ConfigError, match=r"still active \(VRT\)"):
        check_drivers()
