"""Formats: a million polygons in each; its time, its memory, its size, and the check's.

``python -m benchmarks.formats [COUNT] [FORMAT...]`` keeps made buildings of ten corners in the
store of a run, writes them in a format and checks the file, a process a format.
``OVERTILE_POSTGIS=postgresql://...`` adds a table ``overtile_benchmark`` there, for which
``check_s`` is the time to put the same polygons there again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from benchmarks._report import report
from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.outputs.vectors.formats import FORMATS, FormatName, file_name, writer
from pipeline.outputs.vectors.store import FootprintStore
from pipeline.validation.validate import check_file

_AT_ONCE = 20_000
_CELL = 64
_CORNERS = 10


def source(side: int) -> Provenance:
    """Return where the made polygons come from: a scene of ``side`` pixels at 0.3 m."""
    wkt = CRS("EPSG:32645").to_wkt()
    return Provenance(
        scene="made",
        fingerprint="sha256:0123",
        datetime="2024-02-03T04:05:06Z",
        model="threshold 1.0",
        classes=(MapClass(value=1, name="building", colour=(255, 170, 30)),),
        height=side,
        width=side,
        georef=Georef(crs_wkt=wkt, transform=(0.3, 0.0, 3e5, 0.0, -0.3, 3e6)),
    )


def buildings(first: int, count: int, *, across: int) -> Footprints:
    """Return buildings one after the other, a cell of 64 pixels each, ``across`` in a row."""
    rng = np.random.default_rng(first)
    which = np.arange(first, first + count)
    middle = np.column_stack([which % across, which // across]) * _CELL + _CELL / 2
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    outline = np.column_stack([np.cos(turn), np.sin(turn)]) * rng.uniform(16, 30, (count, 1, 1))
    rings = np.rint(middle[:, None] + outline)
    flags = np.zeros(count, bool)
    return Footprints(
        geometry=np.asarray(shapely.polygons(np.concatenate([rings, rings[:, :1]], axis=1))),
        label=np.ones(count, np.int32),
        confidence=rng.random(count),
        area_m2=rng.uniform(20, 300, count),
        perimeter_m=rng.uniform(20, 80, count),
        touches_scene_edge=flags,
        touches_aoi=flags,
        touches_failure=flags,
        regularised=flags,
        row=which // across,
        col=which % across,
    )


def measure(name: str, count: int) -> dict[str, Any]:
    """Write and check one format in this process."""
    across = int(np.sqrt(count)) + 1
    with tempfile.TemporaryDirectory() as folder:
        kind: FormatName = next((known for known in FORMATS if known == name), "parquet")
        path = Path(folder) / file_name(kind)
        with FootprintStore(Path(folder) / "polygons.db") as store:
            for first in range(0, count, _AT_ONCE):
                store.append(buildings(first, min(_AT_ONCE, count - first), across=across))
            began = time.monotonic()
            writer(kind)(path, store.batches(_AT_ONCE), source(across * _CELL))
        written = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        complaints = check_file(path)
        checked = time.monotonic()
        if name == "postgis":
            from pipeline.outputs.postgis.layer_table import upsert_layer

            url = os.environ["OVERTILE_POSTGIS"]
            began = time.monotonic()
            first_time = upsert_layer(url, "overtile_benchmark", path, run_id="r1")
            written = time.monotonic()
            again = upsert_layer(url, "overtile_benchmark", path, run_id="r2")
            checked = time.monotonic()
            complaints = [] if (first_time.inserted, again.unchanged) == (count, count) else ["no"]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "format": name,
            "polygons": count,
            "write_s": written - began,
            "peak_gb": peak * 1024 / 1e9,
            "file_mb": path.stat().st_size / 1e6,
            "check_s": checked - written,
            "check_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
            "complaints": len(complaints),
        }


def main(count: int = 1_000_000, *names: str) -> None:
    """Measure and report."""
    chosen = names or (*FORMATS, *(["postgis"] if "OVERTILE_POSTGIS" in os.environ else []))
    rows = []
    for name in chosen:
        command = [sys.executable, "-m", "benchmarks.formats", "--one", name, str(count)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(ran.stdout))
    report("formats", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main(*(int(word) if word.isdigit() else word for word in sys.argv[1:]))  # type: ignore[arg-type]
