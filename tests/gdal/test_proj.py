"""PROJ of rasterio, pyproj and pyogrio use their own proj.db, whatever the environment names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyogrio._ogr
import pyproj
import pytest
import rasterio
from pyproj._context import get_user_data_dir
from pyproj._network import is_network_enabled
from rasterio.crs import CRS

from pipeline.errors import ConfigError
from pipeline.gdal import proj
from pipeline.gdal.environment import data_folders
from pipeline.gdal.proj import GEOGRAPHIC, check_positions, set_pyproj, set_search_path
from pipeline.gdal.raster_guard import install_guard
from pipeline.gdal.vector_guard import pyogrio as guarded
from tests.gdal.options import proj_folder

pytestmark = pytest.mark.mapping

KINDS = ("empty", "missing", "older", "newer", "damaged", "without_codes")


def elsewhere(check: Callable[[], None]) -> None:
    """Run a check in a new thread: GDAL and pyproj remember codes, thread by thread."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(check).result()


MODULES = {"rasterio": rasterio._env.__file__, "pyogrio": pyogrio._ogr.__file__}


@pytest.fixture
def _restored() -> Iterator[None]:
    """Give both PROJ their own search paths back."""
    guarded()
    yield
    for name, module in MODULES.items():
        set_search_path(module, data_folders("PROJ_DATA")[name])
        elsewhere(partial(check_positions, module, name))


@pytest.mark.parametrize("variable", ["PROJ_DATA", "PROJ_LIB"])
@pytest.mark.parametrize("kind", [*KINDS, "pyproj"])
def test_the_variable_of_another_installation_is_not_heeded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, variable: str
) -> None:
    monkeypatch.setenv(variable, str(proj_folder(tmp_path, kind)))
    install_guard()
    with rasterio.Env():
        assert CRS.from_epsg(3035).to_epsg() == 3035
    for name, module in MODULES.items():
        elsewhere(partial(check_positions, module, name))
    assert pyproj.CRS(3035).to_epsg() == 3035


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        *(("rasterio", kind) for kind in KINDS),
        # Where there is none, it uses a copy inside its library.
        *(("pyogrio", kind) for kind in KINDS if kind not in {"empty", "missing"}),
    ],
)
def test_a_database_that_does_not_belong_is_refused(owner: str, tmp_path: Path, kind: str) -> None:
    set_search_path(MODULES[owner], proj_folder(tmp_path, kind))
    with pytest.raises(ConfigError, match=f"{owner} does not know reference systems"):
        elsewhere(partial(check_positions, MODULES[owner], owner))


@pytest.mark.usefixtures("_restored")
def test_the_refusal_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROJ_LIB", "/opt/qgis/proj")
    set_search_path(MODULES["rasterio"], proj_folder(tmp_path, "older"))
    with pytest.raises(ConfigError, match=r"unset PROJ_LIB, which is '/opt/qgis/proj'"):
        elsewhere(partial(check_positions, MODULES["rasterio"], "rasterio"))


def test_a_position_that_is_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proj, "GEOGRAPHIC", (GEOGRAPHIC[0], GEOGRAPHIC[1] + 1e-5))
    with pytest.raises(ConfigError, match="EPSG:32645 comes out at"):
        check_positions(MODULES["rasterio"], "rasterio")
    with pytest.raises(ConfigError, match="pyproj"):
        set_pyproj()


@pytest.mark.filterwarnings("ignore:pyproj unable to set PROJ database path")
@pytest.mark.parametrize("kind", ["newer", "damaged", "without_codes"])
def test_pyproj_with_a_database_that_does_not_belong_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    folders = {"pyproj": proj_folder(tmp_path, kind)}
    try:
        with monkeypatch.context() as patched:
            patched.setattr(proj, "data_folders", lambda _: folders)
            with pytest.raises(ConfigError, match="pyproj does not know reference systems"):
                elsewhere(set_pyproj)
    finally:
        set_pyproj()


def test_nothing_is_looked_for_in_the_home_folder_or_the_network() -> None:
    assert get_user_data_dir() == "/dev/null"
    assert not is_network_enabled()
    set_pyproj()
    assert pyproj.Transformer.from_crs(26711, 4326, always_xy=True).transform(5e5, 4e6) == (
        pytest.approx((-117.00088128636867, 36.146496109368), abs=1e-9)
    )
