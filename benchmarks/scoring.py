"""How fast a scene of 100,000 buildings is scored, beside a plain loop over an STRtree.

Run ``python -m benchmarks.scoring [COUNT]``. Every object figure but intervals is
computed; the loop computes one of them, the matching at IoU 0.5.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Float64, Shaped
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.evaluation.evaluate import Options, score
from pipeline.evaluation.predictions import Predicted
from pipeline.labels.objects import Objects, PixelGrid

STEP_M = 0.3


def main() -> None:
    """Print a table and a JSON line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    truth, predicted, confidence, side = town(count)
    georef = Georef(
        crs_wkt=CRS.from_epsg(32633).to_wkt(), transform=(STEP_M, 0.0, 5e5, 0.0, -STEP_M, 5.5e6)
    )
    grid = PixelGrid(height=side, width=side, georef=georef)

    def objects(shapes: Shaped[np.ndarray, " n"]) -> Objects:
        placed = shapely.transform(shapes, georef.to_map)
        return Objects(source="made", polygon=placed, crs=georef.crs, grid=grid)

    true = objects(truth)
    mine = Predicted(
        name="made",
        source=Path(),
        objects=replace(objects(predicted), confidence=confidence),
        grid=grid,
    )
    few = replace(mine, objects=mine.objects.take(np.arange(10)))
    score(few, true.take(np.arange(10)), aoi=None, options=Options(intervals=False))
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = score(mine, true, aoi=None, options=Options(intervals=False))
    ours, ours_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begin, begin_cpu = time.perf_counter(), time.process_time()
    tp = naive(predicted, truth, confidence)
    theirs, theirs_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    row = {
        "benchmark": "scoring",
        "truths": count,
        "predictions": len(predicted),
        "scene_px": side,
        "all_figures_s": round(ours, 1),
        "all_figures_cpu_s": round(ours_cpu, 1),
        "naive_matching_only_s": round(theirs, 1),
        "naive_matching_only_cpu_s": round(theirs_cpu, 1),
        "peak_gib": round(peak, 2),
        "tp": found.matched.matching.tp,
        "naive_tp": tp,
    }
    for name, value in row.items():
        sys.stdout.write(f"{name:>24}  {value}\n")
    sys.stdout.write(json.dumps(row) + "\n")


def town(
    count: int,
) -> tuple[Shaped[np.ndarray, " t"], Shaped[np.ndarray, " p"], Float64[np.ndarray, " p"], int]:
    """Return true and predicted footprints in pixels, confidence, and the scene's edge."""
    rng = np.random.default_rng(5)
    across = int(np.ceil(np.sqrt(count)))
    pitch = 60.0
    place = np.stack(np.divmod(np.arange(count), across), axis=1) * pitch + 30
    truth = _houses(rng, place, np.zeros_like(place))
    kept = rng.random(count) < 0.9
    mine = _houses(np.random.default_rng(5), place, rng.normal(0, 2.0, place.shape))[kept]
    anywhere = rng.uniform(30, across * pitch, (count - len(mine), 2))
    extra = _houses(rng, anywhere, np.zeros_like(anywhere))
    predicted = np.concatenate([mine, extra])
    return truth, predicted, rng.random(len(predicted)), int(across * pitch + 60)


def naive(
    predicted: Shaped[np.ndarray, " p"],
    truth: Shaped[np.ndarray, " t"],
    confidence: Float64[np.ndarray, " p"],
) -> int:
    """Return the true positives at IoU 0.5, by a loop as one would first write it."""
    tree = shapely.STRtree(truth)
    taken: set[int] = set()
    tp = 0
    for row in np.argsort(-confidence, kind="stable"):
        best, best_iou = None, 0.5
        for other in tree.query(predicted[row], predicate="intersects"):
            if other in taken:
                continue
            shared = predicted[row].intersection(truth[other]).area
            iou = shared / predicted[row].union(truth[other]).area
            if iou >= best_iou:
                best, best_iou = other, iou
        if best is not None:
            taken.add(best)
            tp += 1
    return tp


def _houses(
    rng: np.random.Generator, place: Float64[np.ndarray, "n 2"], shift: Float64[np.ndarray, "n 2"]
) -> Shaped[np.ndarray, " n"]:
    """Return L-shaped houses, turned."""
    size = rng.uniform(16, 40, place.shape)
    turn = rng.uniform(0, np.pi, len(place))
    corners = np.array([[0, 0], [1, 0], [1, 0.6], [0.5, 0.6], [0.5, 1], [0, 1], [0, 0]]) - 0.5
    local = corners[None] * size[:, None]
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x = local[..., 0] * cos - local[..., 1] * sin
    y = local[..., 0] * sin + local[..., 1] * cos
    points = np.stack([x, y], axis=-1) + (place + shift)[:, None]
    return np.asarray(shapely.polygons(points), object)


if __name__ == "__main__":
    main()
