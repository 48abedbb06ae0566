"""Whatever the environment says, a scene is mapped to the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
from affine import Affine

from pipeline.outputs.vectors.formats import FORMATS
from tests.end_to_end.test_same_bytes import tree
from tests.forked import map_arguments, overtile
from tests.gdal.options import HOSTILE, home, option_names, proj_folder
from tests.mapping.scenery import blobs, write_scene

CHECKOUT = Path(__file__).resolve().parents[2]


def arguments(scene: Path, out: Path, truth: Path) -> tuple[str, ...]:
    """Return the command that maps a scene into every format, with a report."""
    formats = [part for name in FORMATS for part in ("--format", name)]
    return map_arguments(scene, out, *formats, "--truth", str(truth))


def messages(told: str) -> list[str]:
    """Return the lines on standard error that tell of no progress."""
    progress = re.compile(r"s: +(\d+ %|done in )")
    return [line for line in told.splitlines() if not progress.match(line)]


def hostile_environment(folder: Path, value: str) -> dict[str, str]:
    """Return an environment that turns and moves all that GDAL and PROJ let it.

    Args:
        folder: For a home, plugins and PROJ's data.
        value: Of all options but those that are known to change something.
    """
    plugins = folder / "plugins"
    plugins.mkdir()
    for name in ("gdal_EVIL.so", "ogr_EVIL.so"):
        # Loading one would be told on standard error.
        (plugins / name).write_text("no library")
    there = home(folder / "home")
    return {
        **os.environ,
        **dict.fromkeys(option_names(), value),
        **HOSTILE,
        "HOME": str(there),
        "XDG_DATA_HOME": str(there / ".local/share"),
        "PROJ_USER_WRITABLE_DIRECTORY": str(there / ".local/share/proj"),
        "PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY": "",
        "PROJ_DATA": str(proj_folder(folder, "older")),
        "PROJ_LIB": str(proj_folder(folder, "damaged")),
        "PROJ_AUX_DB": str(folder / "damaged" / "proj.db"),
        "GDAL_DATA": str(folder),
        "GDAL_CONFIG_FILE": str(there / ".gdal" / "gdalrc"),
        "GDAL_DRIVER_PATH": str(plugins),
        "OGR_DRIVER_PATH": str(plugins),
        "CPL_LOG": str(folder / "log"),
        **{"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
        **{"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "3"},
        "SOURCE_DATE_EPOCH": "1",
    }


@pytest.mark.slow
def test_no_option_of_the_environment_changes_a_byte(tmp_path: Path) -> None:
    pixels = blobs(9, height=150, width=140)[None]
    # Its longitudes depend on grids, where PROJ finds any; its place on what a pixel stands for.
    place = Affine(0.3, 0, 500_000, 0, -0.3, 4_000_000)
    scene = write_scene(tmp_path / "s.tif", pixels, crs="EPSG:26711", transform=place)
    with rasterio.open(scene, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    truth = tmp_path / "truth.geojson"
    corners = [(-117.0, 36.1464), (-116.9998, 36.1464), (-116.9998, 36.1466), (-117.0, 36.1464)]
    truth.write_text(json.dumps({"type": "Polygon", "coordinates": [corners]}))
    out = tmp_path / "out"
    before = overtile(tmp_path, *arguments(scene, out, truth))
    assert before.code == 0
    calm = tree(out)
    shutil.rmtree(out)
    environment = hostile_environment(tmp_path, "NO")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments(scene, out, truth)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert messages(done.stderr) == messages(before.said)
    assert done.returncode == 0
    assert tree(out) == calm
    assert not (tmp_path / "log").exists()
