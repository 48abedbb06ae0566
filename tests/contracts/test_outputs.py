"""Every output: the same bytes twice, accepted by the check, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.core.window import Window
from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.catalogue.stac import write_item
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.outputs.rasters.cog import write_cog
from pipeline.outputs.rasters.mosaic import MosaicWriter, Raster
from pipeline.outputs.rasters.quicklook import View, demo_picture, quicklook
from pipeline.outputs.vectors.coco import write_coco
from pipeline.outputs.vectors.flatgeobuf import write_flatgeobuf
from pipeline.outputs.vectors.geojson import write_geojson, write_geojsonl
from pipeline.outputs.vectors.geopackage import write_geopackage
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.outputs.vectors.pmtiles import write_pmtiles
from pipeline.outputs.vectors.store import FootprintStore
from pipeline.validation.validate import check_file

SIDE = 900
SOURCE = Provenance(
    scene="made",
    fingerprint="sha256:0123",
    datetime=None,
    model="threshold 1.0",
    classes=(MapClass(value=1, name="building", colour=(255, 170, 30)),),
    height=SIDE,
    width=SIDE,
    georef=Georef(crs_wkt=CRS("EPSG:32645").to_wkt(), transform=(0.3, 0.0, 3e5, 0.0, -0.3, 3e6)),
)


def _footprints() -> Footprints:
    rows, cols = (axis.ravel() * 18 for axis in np.mgrid[0:50, 0:50])
    count = len(rows)
    sizes = np.random.default_rng(0).integers(3, 16, (2, count))
    return Footprints(
        geometry=shapely.box(cols, rows, cols + sizes[0], rows + sizes[1]),
        label=np.ones(count, np.int32),
        confidence=np.linspace(0.5, 1, count),
        area_m2=sizes.prod(axis=0) * 0.09,
        perimeter_m=sizes.sum(axis=0) * 0.6,
        touches_scene_edge=rows == 0,
        touches_aoi=np.zeros(count, bool),
        touches_failure=np.zeros(count, bool),
        regularised=np.zeros(count, bool),
        row=rows.astype(np.int64),
        col=cols.astype(np.int64),
    )


def _pixels() -> np.ndarray:
    return (np.random.default_rng(0).random((1, SIDE, SIDE)) > 0.5).astype(np.uint8)


def _raster(path: Path) -> None:
    raster = Raster(kind="mask", bands=("class",), provenance=SOURCE)
    # The mosaic lies beside the folder of outputs, on a disk that never fills.
    mosaic = path.parent.parent / "mosaic.tif"
    if not mosaic.exists():
        with MosaicWriter(mosaic, raster) as writer:
            writer.write(Window(row=0, col=0, height=SIDE, width=SIDE), _pixels())
    write_cog(mosaic, path, raster)


def _mosaic(path: Path) -> None:
    with MosaicWriter(path, Raster(kind="mask", bands=("class",), provenance=SOURCE)) as writer:
        for row in range(0, SIDE, 300):
            part = _pixels()[:, row : row + 300]
            writer.write(Window(row=row, col=0, height=300, width=SIDE), part)


def _view() -> View:
    batch = _footprints().take(slice(0, 200))
    return View(
        rgb=np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE)).astype(np.uint8),
        mask=_pixels()[0],
        polygons=batch.geometry,
        labels=batch.label,
        classes=SOURCE.classes,
    )


def _item(path: Path) -> None:
    write_item(path, [], SOURCE, source="made.tif", version="0.1.0")


def _store(path: Path) -> None:
    store = FootprintStore(path)
    for start in range(0, 2500, 500):
        store.append(_footprints().take(slice(start, start + 500)))


WRITERS: dict[str, Callable[[Path], object]] = {
    "mask.tif": _raster,
    "polygons.geojson": lambda path: write_geojson(path, [_footprints()], SOURCE),
    "polygons.geojsonl": lambda path: write_geojsonl(path, [_footprints()], SOURCE),
    "polygons.parquet": lambda path: write_geoparquet(path, [_footprints()], SOURCE),
    "polygons.fgb": lambda path: write_flatgeobuf(path, [_footprints()], SOURCE),
    "polygons.gpkg": lambda path: write_geopackage(path, [_footprints()], SOURCE),
    "polygons.pmtiles": lambda path: write_pmtiles(path, [_footprints()], SOURCE),
    "polygons.coco.json": lambda path: write_coco(path, [_footprints()], SOURCE),
    "quicklook.png": lambda path: quicklook(path, _view()),
    "demo.png": lambda path: demo_picture(path, _view(), caption="F1 0.83 · IoU 0.79"),
    "item.json": _item,
}
SCRATCH: dict[str, Callable[[Path], object]] = {"work.tif": _mosaic, "polygons.db": _store}


@pytest.fixture(params=WRITERS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], object]]:
    """Each output, and what writes it."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / request.param, WRITERS[request.param]


def test_the_check_accepts_what_is_written(output: tuple[Path, Callable[[Path], object]]) -> None:
    path, write = output
    write(path)
    assert check_file(path) == []


def test_the_same_inputs_make_the_same_bytes(
    output: tuple[Path, Callable[[Path], object]],
) -> None:
    path, write = output
    write(path)
    first = path.read_bytes()
    path.unlink()
    write(path)
    assert path.read_bytes() == first
    assert b".part" not in first


def test_what_a_killed_run_left_is_written_over(
    output: tuple[Path, Callable[[Path], object]],
) -> None:
    path, write = output
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(b"half of it")
    part.with_name(f"{part.name}.ovr.tmp").write_bytes(b"half of it")
    write(path)
    assert check_file(path) == []
    assert not [p.name for p in path.parent.iterdir() if p.name.startswith(".")]


def test_an_output_in_a_folder_that_is_missing_is_refused(
    output: tuple[Path, Callable[[Path], object]],
) -> None:
    path, write = output
    write(path)
    (path.parent / "missing").symlink_to(path.parent / "nowhere")
    with pytest.raises(ExportError, match="missing"):
        write(path.parent / "missing" / path.name)


def test_an_error_of_the_caller_leaves_the_older_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail() -> None:
        with write_atomically(tmp_path / "a.txt") as part:
            part.write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


FULL_DISK = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_outputs import SCRATCH, WRITERS, _raster
folder = Path(sys.argv[2])
_raster(folder / "warm.tif")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
told = {}
for name, write in {**WRITERS, **SCRATCH}.items():
    path = folder / name
    limit = 900 if name == "item.json" else 12_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        write(path)
        told[name] = "written"
    except Exception as error:
        told[name] = f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(json.dumps(told))
"""


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert set(told) == {*WRITERS, *SCRATCH}
    for name, what in told.items():
        assert what.startswith(f"ExportError: {folder / name} could not be written"), what
    left = {p.name for p in folder.iterdir()} - set(SCRATCH)
    assert left == {"warm.tif"}
