"""How fast the footprints of many overlapping scenes become one layer.

Run ``python -m benchmarks.conflate [FOOTPRINTS] [SCENES]``. A made region of houses is seen by
scenes in a 60 % overlap, each shifted a little; the layer is made without and with an earlier
one, and the changes between both are told. Seconds of processor time count: they do not depend
on what else runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import shapely
from jaxtyping import Float64
from pyproj import CRS, Transformer

from benchmarks._report import peak_memory, report
from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.regions.layer.changes import changes
from pipeline.regions.layer.layer import LayerScene, build_layer

PITCH = 40.0
PLANE = CRS.from_epsg(32633)
ORIGIN = np.array([277_000.0, 5_320_000.0])
Result = TypeVar("Result")


def main() -> None:
    """Print a table and a JSON line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as name:
        folder = Path(name)
        scenes = region(folder, count, many)
        rows = []
        first = folder / "first.parquet"
        second = folder / "second.parquet"
        steps: list[tuple[str, Callable[[], object]]] = [
            ("layer", lambda: build_layer(scenes, previous=None, out=first, policy="newest")),
            ("with ids", lambda: build_layer(scenes, previous=first, out=second, policy="newest")),
            ("changes", lambda: changes(first, second, folder / "changes")),
        ]
        for step, work in steps:
            rows.append({"step": step, **_measured(work)})
            sys.stderr.write(f"{rows[-1]}\n")
        same = first.read_bytes() == second.read_bytes()
    report("conflate", [{**row, "again_the_same_bytes": same} for row in rows])


def region(folder: Path, count: int, many: int) -> list[LayerScene]:
    """Write ``many`` scenes that show about ``count`` footprints altogether."""
    across = int(np.ceil(np.sqrt(many)))
    # A scene is 2.5 times as wide as the step to the next one: 6 scenes see each house.
    per_scene = int(np.sqrt(count / many))
    step = max(1, round(per_scene / 2.5))
    rng = np.random.default_rng(5)
    side = step * (across - 1) + per_scene
    houses = _houses(rng, side)
    return [
        _scene(
            folder,
            number,
            houses,
            corner=(number // across * step, number % across * step),
            size=per_scene,
        )
        for number in range(many)
    ]


def _scene(
    folder: Path,
    number: int,
    houses: Float64[np.ndarray, "rows cols points 2"],
    *,
    corner: tuple[int, int],
    size: int,
) -> LayerScene:
    rng = np.random.default_rng(number)
    row, col = corner
    mine = houses[row : row + size, col : col + size].reshape(-1, *houses.shape[2:])
    mine = mine[rng.random(len(mine)) < 0.97]
    moved = mine + rng.normal(0, 0.5, (1, 1, 2)) + rng.normal(0, 0.15, mine.shape)
    moved[:, -1] = moved[:, 0]
    zone = CRS.from_epsg(32632 if number % 2 else 32633)
    # Both zones meet at 12 E: every other scene is delivered in the other one.
    x, y = Transformer.from_crs(PLANE, zone, always_xy=True).transform(
        *(moved + ORIGIN).reshape(-1, 2).T
    )
    points = np.column_stack([x, y]).reshape(moved.shape)
    shapes = np.asarray(shapely.polygons(points), object)
    shapes = shapes[shapely.is_valid(shapes)]
    n = len(shapes)
    georef = Georef(crs_wkt=zone.to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    provenance = Provenance(
        scene=f"scene{number}",
        fingerprint=f"sha256:{number}",
        datetime=f"20{number % 20:02d}-01-01T00:00:00Z",
        model="made",
        classes=(MapClass(value=1, name="building", colour=(255, 170, 30)),),
        height=1,
        width=1,
        georef=georef,
    )
    batch = Footprints(
        geometry=shapes,
        label=np.ones(n, np.int32),
        confidence=rng.random(n),
        area_m2=shapely.area(shapes),
        perimeter_m=shapely.length(shapes),
        touches_scene_edge=np.zeros(n, bool),
        touches_aoi=np.zeros(n, bool),
        touches_failure=np.zeros(n, bool),
        regularised=np.zeros(n, bool),
        row=np.arange(n),
        col=np.zeros(n, np.int64),
    )
    path = folder / f"{number}.parquet"
    write_geoparquet(path, [batch], provenance)
    west, south = np.array([col, row]) * PITCH + ORIGIN
    frame = shapely.box(west, south, west + size * PITCH, south + size * PITCH)
    plane = Georef(crs_wkt=PLANE.to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    area = shapely.transform(shapely.segmentize(frame, 500.0), plane.to_lonlat)
    return LayerScene(
        key=f"scene{number:04d}",
        parquet=path,
        coverage=shapely.to_wkb(area),
        datetime=provenance.datetime,
    )


def _houses(rng: np.random.Generator, side: int) -> Float64[np.ndarray, "rows cols points 2"]:
    """Return L-shaped houses of 8 to 24 m, turned, on a lattice of 40 m."""
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1) * PITCH + PITCH / 2
    size = rng.uniform(8, 24, place.shape)
    turn = rng.uniform(0, np.pi, place.shape[:2])
    corners = np.array([[0, 0], [1, 0], [1, 0.6], [0.5, 0.6], [0.5, 1], [0, 1], [0, 0]]) - 0.5
    local = corners * size[:, :, None]
    cos, sin = np.cos(turn)[..., None], np.sin(turn)[..., None]
    x = local[..., 0] * cos - local[..., 1] * sin
    y = local[..., 0] * sin + local[..., 1] * cos
    return np.stack([x, y], axis=-1) + place[:, :, None]


def _measured(work: Callable[[], object]) -> dict[str, float]:
    begin, begin_cpu = time.perf_counter(), time.process_time()
    with peak_memory(os.getpid()) as peak:
        found = work()
    sys.stderr.write(f"{found}\n")
    return {
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - begin_cpu, 1),
        "peak_gb": round(peak.bytes / 1e9, 2),
    }


if __name__ == "__main__":
    main()
