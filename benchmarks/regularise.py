"""Regularising beside buildingregulariser and plain Douglas-Peucker, on made settlements.

Run with ``python -m benchmarks.regularise [--seeds 3] [--size 1024]``: a small table, then
one line of JSON. Masks are the settlements' roofs, blurred, with the ragged edge of a
thresholded network, taken apart by markers and traced; the truth is the roofs themselves.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from buildingregulariser import regularize_geodataframe
from scipy import ndimage

from pipeline.core.separate import separate, trace_instances
from pipeline.core.shape import Rules, regularised, simplified
from pipeline.core.window import Window
from pipeline.scenes.made import settlement

Polygons = npt.NDArray[Any]
REACH = 24
SIMPLE = 1.5
"""Tolerance of what is simplified only."""


def predicted(*, seed: int, size: int, pixel_m: float) -> tuple[Polygons, Polygons]:
    """Return outlines as a network might draw them, and the roofs each of them is of."""
    made = settlement(seed=seed, height=size, width=size, pixel_m=pixel_m)
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(size, size)), 1.5)
    soft = ndimage.gaussian_filter((made.instances > 0).astype(np.float64), 1.5)
    mask = (soft + 0.12 * noise / noise.std() > 0.5).astype(np.uint8)
    inside = ndimage.minimum_filter(made.instances, 5) == ndimage.maximum_filter(made.instances, 5)
    core = Window(row=0, col=0, height=size, width=size)
    instances, _ = separate(
        mask, inside & (made.instances > 0), core=core, scene=mask.shape, reach=REACH
    )
    outlines = trace_instances(instances, mask, mask, core=core).to_shapely()
    outlines = outlines[shapely.area(outlines) >= 40]
    truth = np.array(made.polygons, object)
    one, two = shapely.STRtree(truth).query(outlines, predicate="intersects")
    shared = shapely.area(shapely.intersection(outlines[one], truth[two]))
    best = np.full(len(outlines), -1)
    for pair in np.argsort(shared):
        best[one[pair]] = two[pair]
    found = best >= 0
    return outlines[found], truth[best[found]]


def iou(one: Polygons, two: Polygons) -> npt.NDArray[np.float64]:
    """Return intersection over union, pair by pair."""
    both = shapely.area(shapely.intersection(one, two))
    ratio: npt.NDArray[np.float64] = both / (shapely.area(one) + shapely.area(two) - both)
    return ratio


def right_angles(polygons: Polygons) -> float:
    """Return the share of corners within 5 degrees of a right angle."""
    square = total = 0
    for ring in shapely.get_exterior_ring(polygons):
        sides = np.diff(shapely.get_coordinates(ring), axis=0)
        after = np.roll(sides, -1, axis=0)
        cross = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
        turn = np.degrees(np.arctan2(cross, (sides * after).sum(axis=1)))
        square += int(np.count_nonzero(abs(abs(turn) - 90) < 5))
        total += len(turn)
    return square / total


def overlaps(polygons: Polygons) -> float:
    """Return the area that two polygons cover, in square pixels."""
    one, two = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = one < two
    return float(
        shapely.area(shapely.intersection(polygons[one[pairs]], polygons[two[pairs]])).sum()
    )


def figures(polygons: Polygons, outlines: Polygons, truth: Polygons) -> dict[str, float]:
    """Return what is said of one way to shape the outlines."""
    return {
        "truth_iou": float(iou(polygons, truth).mean()),
        "own_iou": float(iou(polygons, outlines).mean()),
        "vertices": float(shapely.get_num_coordinates(polygons).mean() - 1),
        "right_angles": right_angles(polygons),
        "overlap": overlaps(polygons),
        "invalid": int((~shapely.is_valid(polygons)).sum()),
    }


def by_buildingregulariser(outlines: Polygons) -> Polygons:
    """Return what buildingregulariser makes of the outlines, in one process."""
    frame = geopandas.GeoDataFrame(geometry=list(outlines), crs="EPSG:32645")
    shaped = regularize_geodataframe(
        frame, parallel_threshold=2.0, simplify_tolerance=1.0, allow_circles=False, num_cores=1
    )
    return np.asarray(shaped.geometry.to_numpy(), object)


def main() -> None:
    """Shape the same outlines in each way; tell time, likeness, vertices and overlaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--pixel", type=float, default=0.3)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    scenes = [
        predicted(seed=seed, size=chosen.size, pixel_m=chosen.pixel) for seed in range(chosen.seeds)
    ]
    # Side by side, so that all is one call and scenes do not overlap.
    apart = [(0.0, 2.0 * chosen.size * number) for number in range(len(scenes))]

    def together(which: int) -> Polygons:
        moved = []
        for scene, by in zip(scenes, apart, strict=True):
            coords = shapely.get_coordinates(scene[which]) + by
            moved.append(shapely.set_coordinates(scene[which].copy(), coords))
        return np.concatenate(moved)

    outlines, truth = together(0), together(1)
    flags = regularised(outlines)[1]
    ways: dict[str, Callable[[], Polygons]] = {
        "traced": lambda: outlines,
        "Douglas-Peucker": lambda: shapely.simplify(outlines, 1.0),
        "simplified": lambda: simplified(outlines, tolerance=SIMPLE),
        "buildingregulariser": lambda: by_buildingregulariser(outlines),
        "regularised": lambda: regularised(outlines, rules=Rules(simplify=SIMPLE))[0],
    }
    print(f"{len(outlines)} buildings, {flags.mean():.3f} of them regularised")
    table: dict[str, dict[str, float]] = {}
    for name, way in ways.items():
        times = []
        for _ in range(1 if name == "buildingregulariser" else chosen.repeats):
            # Of this one process: what else runs on the machine does not count.
            start = time.process_time()
            shaped = way()
            times.append(time.process_time() - start)
        table[name] = {"seconds": min(times), **figures(shaped, outlines, truth)}
        print(f"{name:<20}", *(f"{key} {value:.4g}" for key, value in table[name].items()))
    ratio = table["buildingregulariser"]["seconds"] / table["regularised"]["seconds"]
    print(f"regularised: {ratio:.1f} times buildingregulariser's speed")
    print(
        json.dumps(
            {
                "benchmark": "regularise",
                "buildings": len(outlines),
                "share_regularised": float(flags.mean()),
                "speed_over_buildingregulariser": ratio,
                **table,
            }
        )
    )


if __name__ == "__main__":
    main()
