"""The wheel: all that mapping needs, nothing else, wherever it is run from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built offline."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel alone; what it depends on stays where it is."""
    folder = tmp_path_factory.mktemp("elsewhere")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-index", "--no-deps", "--target", str(folder), str(wheel)], cwd=folder)
    return folder


@pytest.fixture
def stray(tmp_path: Path) -> Path:
    """Return a working folder with a scene, and a file that has the package's name."""
    (tmp_path / "pipeline.py").write_text("raise SystemExit('the stray file was imported')\n")
    pixels = np.full((3, 200, 260), 40, np.uint8)
    pixels[:, 60:110, 80:160] = 250
    shape = {"count": 3, "height": 200, "width": 260, "dtype": "uint8"}
    where = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_500_000, 0.5, 0.5)}
    with rasterio.open(tmp_path / "scene.tif", "w", driver="GTiff", **shape, **where) as file:
        file.write(pixels)
    return tmp_path


def run(command: list[str], *, cwd: Path, path: Path | None = None) -> str:
    """Return what a command prints; `path` is searched before the environment's packages."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_and_its_data_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"overtile", "pipeline"}
    assert {"overtile/py.typed", "pipeline/py.typed"} <= set(names)
    data = [path for path in (ROOT / "pipeline").rglob("*.*") if path.suffix in DATA]
    assert {path.suffix for path in data} == DATA
    assert {path.relative_to(ROOT).as_posix() for path in data} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


DATA = {".yaml", ".safetensors", ".html", ".js", ".css", ".json"}


def test_it_maps_a_scene_beside_a_file_of_its_name(installed: Path, stray: Path) -> None:
    found = run(
        [sys.executable, "-P", "-c", "import pipeline; print(pipeline.__file__)"],
        cwd=stray,
        path=installed,
    )
    assert Path(found.strip()).is_relative_to(installed)
    overtile = str(installed / "bin" / "overtile")
    printed = run(
        [overtile, "map", "scene.tif", "--out", "out", "--task", "bright"],
        cwd=stray,
        path=installed,
    )
    assert json.loads(printed)["failed"] == 0
    features = json.loads((stray / "out" / "scene" / "polygons.geojson").read_text())["features"]
    assert [feature["properties"]["area_m2"] for feature in features] == [
        pytest.approx(50 * 80 / 4, rel=2e-3)
    ]
    with rasterio.open(stray / "out" / "scene" / "mask.tif") as mask:
        assert (mask.read(1) == 1).sum() == 50 * 80


def test_it_brings_its_models_along(installed: Path, stray: Path) -> None:
    printed = run(
        [str(installed / "bin" / "overtile"), "models", "list"], cwd=stray, path=installed
    )
    assert "buildings" in printed
