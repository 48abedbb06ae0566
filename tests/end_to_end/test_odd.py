"""Odd files through `overtile map`: mapped, mapped with a doubt, or refused in words.

All rasters of the collection go through the command once, in one run, so that what is
refused stands between what is mapped. A small untrained network of the buildings model's
wants (red, green, blue; 0.1-0.6 m) answers: what is owed does not depend on weights.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import CRS
from rasterio.features import rasterize
from typer.testing import CliRunner

from pipeline.cli.__main__ import app
from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.models.card import Inputs
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from pipeline.validation.validate import CHECKS, check_file
from tests.mapping.scenery import classic

ODD = (Path(__file__).resolve().parents[2].parent / "shared/data/odd").resolve()
ABSENT = "../shared/data/odd is not here"

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not ODD.is_dir(), reason=ABSENT),
]

# Belong to the file beside them.
SIDECARS = (".ovr", ".msk")
# 400 million pixels: planned here; its owner's windows are tested in tests/scenes.
LARGE = "generated/bomb_zeros_20k.tif"
# By what a message may be recognised as one for developers.
RAW = ("Traceback", "previous exception", "Error(", "<class", "NoneType", "\n")


def rasters() -> list[dict[str, str]]:
    """Return the rows of rasters."""
    if not ODD.is_dir():
        return []
    with (ODD / "MANIFEST.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        row
        for row in rows
        if not row["file"].startswith("vectors/") and not row["file"].endswith(SIDECARS)
    ]


BUILDINGS = rasters()
OTHERS = [row for row in BUILDINGS if row["other_task"] and row["file"] != LARGE]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one command said and left."""

    code: int
    said: str
    rows: dict[str, dict[str, Any]]
    out: Path


def overtile(*arguments: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command in this process; return code, what it said, and its summary."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
    return result.exit_code, result.stderr, json.loads(result.stdout)


def mapped(rows: list[dict[str, str]], out: Path, *options: str) -> Run:
    """Map files of the collection in one run."""
    files = [str(ODD / row["file"]) for row in rows]
    settings = ("--out", str(out), "--executor", "serial", "--device", "cpu")
    code, said, summary = overtile("map", *files, *settings, *options)
    found = {row["scene"]: row for row in summary["scenes"]}
    return Run(
        code=code,
        said=said,
        rows={row["file"]: found[file] for row, file in zip(rows, files, strict=True)},
        out=out,
    )


def contents() -> dict[str, tuple[int, int]]:
    """Return size and time of every file of the collection."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in ODD.rglob("*.*")}


@pytest.fixture(scope="module")
def buildings(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("odd")
    inputs = Inputs(
        bands=("red", "green", "blue"),
        gsd_range_m=(0.1, 0.6),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    )
    small = folder / "small.safetensors"
    classic(small, seed=3, inputs=inputs)
    before = contents()
    # With these weights a fifth of the pixels are more probable than that.
    run = mapped(BUILDINGS, folder / "out", "--model", str(small), "--threshold", "0.8")
    assert contents() == before
    return run


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return mapped(OTHERS, tmp_path_factory.mktemp("bright") / "out", "--task", "bright")


# Rows do not count an order of bands by position alone, which is warned of.
BY_ORDER = "by their order alone"
# Declared nodata is honoured wherever it stands; what may be a black roof is warned of.
WARNED = {"generated/nodata0_black_roof.tif": "--nodata none"}


def accepted(owed: str) -> set[str]:
    """Return the outcomes that a row allows."""
    if "ignoring the sidecar" in owed:
        return {"reject", "handle", "warn"}
    if "else reject" in owed:
        return {"reject", "handle"}
    return {owed.split()[0].strip(",")}


def check_outcome(file: str, row: dict[str, Any], run: Run, owed: str) -> None:
    """Check that a scene ended as owed, and that the user was told so."""
    if row["state"] == "failed":
        assert "reject" in accepted(owed), row["reason"]
        check_refusal(file, row["reason"])
        assert row["reason"] in run.said
        return
    assert row["state"] == "done"
    assert row["tiles_failed"] == 0
    outcome = "warn" if [text for text in row["warnings"] if BY_ORDER not in text] else "handle"
    assert outcome in ({"warn"} if file in WARNED else accepted(owed)), row["warnings"]
    assert WARNED.get(file, "") in " ".join(row["warnings"])
    folder = Path(row["folder"])
    assert json.loads((folder / "run.json").read_text("utf-8"))["warnings"] == row["warnings"]
    for warning in row["warnings"]:
        assert f"{folder.name}: warning: {warning}" in run.said
    check_outputs(file, folder)


def check_refusal(file: str, reason: str) -> None:
    """Check that a refusal names file, reason and way out, in one readable line."""
    named, _, rest = reason.partition(f"{file}: ")
    assert named == f"{ODD}/"
    why, _, way_out = rest.rpartition("; ")
    assert len(why) > 10
    assert len(way_out) > 10
    assert len(rest) < 400
    assert not [sign for sign in RAW if sign in reason]


def check_outputs(file: str, folder: Path) -> None:
    """Check that a scene's outputs are valid and lie where the scene does."""
    faults = {path.name: check_file(path) for path in folder.iterdir() if path.suffix in CHECKS}
    assert not {name: found for name, found in faults.items() if found}
    scene = open_scene(SceneRef(kind="geotiff", href=str(ODD / file)))
    info, georef = scene.info, scene.info.georef
    assert georef is not None
    whole = Window(row=0, col=0, height=info.height, width=info.width)
    mapped = json.loads((folder / "run.json").read_text("utf-8"))["scene"]["bands"]
    _, valid = scene.read(whole, tuple(band.index for band in info.bands if band.name in mapped))
    scene.close()
    for name in ("mask.tif", "probability.tif"):
        with rasterio.open(folder / name) as raster:
            pixels = raster.read(1)
            assert raster.nodata == 255
            np.testing.assert_allclose(tuple(raster.transform)[:6], georef.transform, rtol=1e-12)
            written = CRS.from_wkt(raster.crs.to_wkt())
        assert written.equals(georef.crs, ignore_axis_order=True)
        np.testing.assert_array_equal(pixels != 255, valid)
        if name == "mask.tif":
            mask = pixels
    check_polygons(folder, mask, georef)


def check_polygons(folder: Path, mask: np.ndarray, georef: Georef) -> None:
    """Check that polygons cover pixels of the mask, and measure what those do."""
    table = geopandas.read_parquet(folder / "polygons.parquet")
    listed = geopandas.read_file(folder / "polygons.geojson")
    assert len(table) == len(listed)
    if table.empty:
        return
    assert sorted(table["id"]) == sorted(listed["id"])
    assert (table["area_m2"] > 0).all()
    drawn = shapely.transform(table.geometry.to_crs(georef.crs).to_numpy(), georef.to_pixels)
    inside = rasterize([(polygon, 1) for polygon in drawn], out_shape=mask.shape) == 1
    # An outline A shares IoU >= 0.8 with its pixels B: |A - B| <= 0.2 |A + B| <= 0.25 |A|.
    assert (inside & (mask != 1)).sum() <= 0.25 * inside.sum()
    # A straightened wall may cross a corner of what is not known, no more.
    assert (inside & (mask == 255)).sum() <= 0.05 * inside.sum()
    exact = np.array([georef.area_m2(polygon) for polygon in drawn[:100]])
    np.testing.assert_allclose(table["area_m2"][:100], exact, rtol=0.001, atol=0.02)


@pytest.mark.timeout(600)
def test_the_run_goes_on_and_says_that_some_failed(buildings: Run) -> None:
    assert buildings.code == 3
    assert {row["state"] for row in buildings.rows.values()} == {"done", "failed"}
    assert sum(row.get("polygons", 0) > 0 for row in buildings.rows.values()) > 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", BUILDINGS, ids=lambda row: row["file"])
def test_the_buildings_task_gives_what_is_owed(buildings: Run, row: dict[str, str]) -> None:
    check_outcome(row["file"], buildings.rows[row["file"]], buildings, row["expect"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row["file"])
def test_another_task_gives_what_is_owed(bright: Run, row: dict[str, str]) -> None:
    check_outcome(row["file"], bright.rows[row["file"]], bright, row["other_task"])


@pytest.mark.timeout(600)
def test_nothing_partial_is_left(buildings: Run, bright: Run) -> None:
    for run in (buildings, bright):
        done = {Path(row["folder"]).name for row in run.rows.values() if row["state"] == "done"}
        left = {path.name for path in run.out.iterdir()} - {".overtile.lock"}
        assert left == done
    assert not list(ODD.rglob("mrf_was_written*"))


def test_a_scene_of_400_million_zeros_is_planned_in_bounded_memory(tmp_path: Path) -> None:
    code, _, plan = overtile(
        "map", str(ODD / LARGE), "--task", "bright", "--out", str(tmp_path / "out"), "--dry-run"
    )
    assert code == 0
    (row,) = plan["scenes"]
    assert row["complaints"] == []
    assert row["peak_memory_bytes"] <= 4 * 10**9
    assert not (tmp_path / "out").exists()


def test_a_geotiff_without_a_place_is_mapped_in_pixels_if_asked(tmp_path: Path) -> None:
    scene, out = str(ODD / "copied/imgtiff__BigTIFF.tif"), str(tmp_path / "out")
    options = ("--task", "bright", "--out", out, "--crs", "none")
    code, _, summary = overtile("map", scene, *options)
    assert code == 0
    left = {path.name for path in Path(summary["scenes"][0]["folder"]).iterdir()}
    assert "polygons.coco.json" in left
    assert "polygons.geojson" not in left


def test_a_reference_system_is_taken_from_the_command(tmp_path: Path) -> None:
    scene, out = str(ODD / "copied/rio__rotated.tif"), str(tmp_path / "out")
    code, _, summary = overtile(
        "map", scene, "--task", "bright", "--out", out, "--crs", "EPSG:32618"
    )
    assert code == 0
    with rasterio.open(Path(summary["scenes"][0]["folder"]) / "mask.tif") as mask:
        assert mask.crs.to_epsg() == 32618


REFUSED = [
    "copied/imgtiff__BigTIFF.tif",
    "copied/rio__alpha.tif",
    "generated/bitflip_deflate.tif",
    "generated/gray_1band.tif",
    "generated/vrt_raw_passwd.vrt",
]


def test_refusals_come_before_torch_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pipeline.cli.__main__ import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    print(end.code, 'torch' in sys.modules)\n"
    )
    files = [str(ODD / name) for name in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", script, "map", *files, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "3 False"
    assert [line for line in done.stderr.splitlines() if "; " not in line] == []
