"""Tracing and merging beside GDAL's polygonize, on a made town.

Run with ``python -m benchmarks.polygonize [--size 8192] [--buildings 40000]``: a
small table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely.geometry

from pipeline.core.fragments import Fragments
from pipeline.core.merge import Merger
from pipeline.core.trace import Weights, trace
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


def main() -> None:
    """Time tracing, merging and GDAL on one town, in one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--buildings", type=int, default=40_000)
    parser.add_argument("--core", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
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
