"""Tracing and merging beside GDAL's polygonize, and the whole chain, on a made town.

``python -m benchmarks.polygonize [--size 8192] [--buildings 40000]`` prints a small table,
then one line of JSON; with ``--chain 8192 40000`` also what `map` takes from a scene of
probabilities of that size, as dense with buildings, to finished rasters and regularised
GeoParquet: processor time of the process tree, its wall-clock time, its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet
import rasterio
import rasterio.features
import shapely.geometry
from rasterio.transform import from_origin
from rasterio.windows import Window as RioWindow

from benchmarks._report import peak_memory, report
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.trace import Weights, trace
from pipeline.core.window import Window


def town(*, size: int, buildings: int, seed: int = 0) -> Weights:
    """Return a mask of rotated rectangles and L shapes whose edges are rough, (size, size)."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint8)
    for _ in range(buildings):
        long, wide = rng.uniform(8, 40), rng.uniform(6, 20)
        reach = int(np.hypot(long, wide) / 2) + 3
        row, col = rng.integers(reach, size - reach, 2)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        angle = rng.uniform(0, np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        # The outline shifts from pixel to pixel: the ragged edge of a thresholded network.
        shift = smooth(rng.normal(0, 2.4, x.shape))
        inside = (abs(along) + shift < long / 2) & (abs(across) + shift < wide / 2)
        if rng.random() < 0.4:
            inside &= (along < long / 8) | (across < wide / 8)
        place = mask[row - reach : row + reach + 1, col - reach : col + reach + 1]
        place |= inside.astype(np.uint8)
    return mask


def smooth(field: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean over each pixel and its eight neighbours, edges replicated."""
    padded = np.pad(field, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    mean: npt.NDArray[np.float64] = windows.mean(axis=(2, 3))
    return mean


def fastest(call: Callable[[], Any], *, repeats: int) -> float:
    """Return the shortest wall-clock time of the call, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def by_gdal(mask: Weights) -> list[Any]:
    """Return what rasterio and shapely make of the mask."""
    traced = rasterio.features.shapes(mask, mask=mask, connectivity=4)
    return [shapely.geometry.shape(polygon) for polygon, _ in traced]


def merged(parts: list[tuple[Window, Fragments]], *, size: int) -> list[Fragments]:
    """Return the polygons of all tiles, united."""
    merger = Merger(height=size, width=size)
    return [*(merger.add(window, part) for window, part in parts), merger.finish()]


TASK = """name: chain
model: threshold
threshold: 0.5
min_area_m2: 4
shape: {outline: regularised, tolerance_m: 0.5, min_hole_m2: 4}
formats: [parquet]
"""
PATCH = 2048


def write_probabilities(path: Path, *, size: int, density: float) -> None:
    """Write a scene of 0.3 m whose brightness is the probability of a town, patch by patch."""
    mask = town(size=PATCH, buildings=round(density * PATCH**2))
    soft = np.where(mask == 1, 215, 30).astype(np.uint8)
    soft += np.random.default_rng(2).integers(0, 40, soft.shape, np.uint8)
    profile = {
        "driver": "GTiff",
        "height": size,
        "width": size,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:32645",
        "transform": from_origin(350_000, 3_060_000, 0.3, 0.3),
        "tiled": True,
        "bigtiff": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, size, PATCH):
            for col in range(0, size, PATCH):
                tall, wide = min(PATCH, size - row), min(PATCH, size - col)
                out.write(soft[:tall, :wide], 1, window=RioWindow(col, row, wide, tall))


def chain(*, size: int, density: float) -> dict[str, Any]:
    """Return what `map` takes from probabilities to finished outputs."""
    with tempfile.TemporaryDirectory() as folder:
        scene, task = Path(folder) / "town.tif", Path(folder) / "chain.yaml"
        write_probabilities(scene, size=size, density=density)
        task.write_text(TASK, "utf-8")
        command = [sys.executable, "-m", "pipeline.cli", "map", str(scene), "--out", folder]
        command += ["--task", str(task), "--device", "cpu", "--max-memory", "1.5GB"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with peak_memory(process.pid) as peak:
            if process.wait():
                raise SystemExit("overtile map failed")
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        table = pyarrow.parquet.read_table(Path(folder) / "town" / "polygons.parquet")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "pixels": f"{size} x {size}",
        "polygons": len(table),
        "regularised": float(np.mean(table["regularised"].to_numpy())),
        "cpu_s": cpu,
        "wall_s": wall,
        "cores": os.cpu_count(),
        "peak_gb": peak.bytes / 1e9,
    }


def main() -> None:
    """Time tracing, merging and GDAL on one town, in one thread; and the whole chain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--buildings", type=int, default=40_000)
    parser.add_argument("--core", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5, help="0: the chain alone")
    parser.add_argument("--chain", type=int, nargs="*", default=[], help="edges in pixels")
    chosen = parser.parse_args()
    density = chosen.buildings / chosen.size**2
    if chosen.repeats:
        trace_and_merge(chosen)
    if chosen.chain:
        report("chain", [chain(size=size, density=density) for size in chosen.chain])


def trace_and_merge(chosen: argparse.Namespace) -> None:
    """Time tracing, merging and GDAL on one town, in one thread."""
    size, core = chosen.size, chosen.core
    mask = town(size=size, buildings=chosen.buildings)
    weights = np.random.default_rng(1).integers(0, 251, mask.shape, np.uint8)
    windows = [
        Window(row=row, col=col, height=core, width=core).clipped(height=size, width=size)
        for row in range(0, size, core)
        for col in range(0, size, core)
    ]
    scene = Window(row=0, col=0, height=size, width=size)

    def tile(window: Window) -> Fragments:
        cut = window.within(scene)
        return trace(mask[cut], weights[cut], row=window.row, col=window.col)

    parts = [(window, tile(window)) for window in windows]
    whole = trace(mask, weights)
    together = Fragments.concatenate(merged(parts, size=size)).by_anchor()
    same = all(
        np.array_equal(array, together.to_arrays()[name])
        for name, array in whole.to_arrays().items()
    )
    seconds = {
        "rasterio.features.shapes + shape": fastest(lambda: by_gdal(mask), repeats=2),
        "trace": fastest(lambda: trace(mask, weights), repeats=chosen.repeats),
        "trace + to_shapely": fastest(
            lambda: trace(mask, weights).to_shapely(), repeats=chosen.repeats
        ),
        "trace of all tiles": fastest(
            lambda: [tile(window) for window in windows], repeats=chosen.repeats
        ),
        "merge of all tiles": fastest(lambda: merged(parts, size=size), repeats=chosen.repeats),
    }
    slowest = seconds["rasterio.features.shapes + shape"]
    print(f"{size} x {size} pixels, {len(whole)} polygons, {len(whole.coords)} vertices")
    for name, value in seconds.items():
        print(f"{name:<34} {value:8.3f} s {slowest / value:8.1f} x")
    print(
        json.dumps(
            {
                "benchmark": "polygonize",
                "size": size,
                "polygons": len(whole),
                "vertices": len(whole.coords),
                "seconds": seconds,
                "ratios": {name: slowest / value for name, value in seconds.items()},
                "merge_megapixels_per_s": size**2 / 1e6 / seconds["merge of all tiles"],
                "merged_equals_whole": same,
            }
        )
    )


if __name__ == "__main__":
    main()
