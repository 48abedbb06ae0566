"""Regularising beside buildingregulariser and plain Douglas-Peucker.

``python -m benchmarks.regularise SCENE...`` maps scenes with the shipped model, as `map`
does but along the pixels, and shapes what it finds; the truth is the ``.geojson`` beside
a scene. Without scenes it takes made settlements: their roofs, blurred, with the ragged
edge of a thresholded network, taken apart by markers and traced.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from buildingregulariser import regularize_geodataframe

from benchmarks._outlines import Outlines, made, mapped
from benchmarks._report import report
from pipeline.config import load_task
from pipeline.core.outlines import Rules, regularised
from pipeline.core.outlines.simplify import soundly_simplified
from pipeline.mapping.outlines import FINEST, rules_of

Polygons = npt.NDArray[Any]


def matched(outlines: Polygons, truth: Polygons) -> npt.NDArray[np.int64]:
    """Return for each outline the true polygon it is of, -1 where IoU is below a half."""
    one, two = shapely.STRtree(truth).query(outlines, predicate="intersects")
    likeness = iou(outlines[one], truth[two])
    best = np.full(len(outlines), -1)
    for pair in np.argsort(likeness):
        if likeness[pair] >= 0.5:
            best[one[pair]] = two[pair]
    return best


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
    best = matched(outlines, truth)
    own = iou(polygons, outlines)
    return {
        "truth_iou": float(iou(polygons[best >= 0], truth[best[best >= 0]]).mean()),
        "own_iou": float(own.mean()),
        "least_own_iou": float(own.min()),
        "vertices": float(shapely.get_num_coordinates(polygons).mean() - 1),
        "right_angles": right_angles(polygons),
        "overlap_px": overlaps(polygons) - overlaps(outlines),
        "invalid": int((~shapely.is_valid(polygons)).sum()),
    }


def smooth(polygons: Polygons, truth: Polygons) -> dict[str, float]:
    """Return what is said of outlines that `map` drew between the pixels."""
    best = matched(polygons, truth)
    return {
        "truth_iou": float(iou(polygons[best >= 0], truth[best[best >= 0]]).mean()),
        "vertices": float(shapely.get_num_coordinates(polygons).mean() - 1),
        "right_angles": right_angles(polygons),
        "overlap_px": overlaps(polygons),
        "invalid": int((~shapely.is_valid(polygons)).sum()),
    }


def by_buildingregulariser(outlines: Polygons, *, tolerance: float) -> Polygons:
    """Return what buildingregulariser makes of the outlines, in one process.

    Args:
        outlines: In the units of the tolerance, as its other lengths are for metres.
        tolerance: How far it simplifies before it turns walls.
    """
    numbers = {"number": range(len(outlines))}
    frame = geopandas.GeoDataFrame(numbers, geometry=list(outlines), crs="EPSG:32645")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shaped = regularize_geodataframe(
            frame,
            parallel_threshold=2.0,
            simplify_tolerance=tolerance,
            allow_circles=False,
            num_cores=1,
        )
    # It takes some of them to pieces: the largest one stands for the building.
    pieces = shaped.assign(area=shaped.area).sort_values(["number", "area"])
    largest = pieces.drop_duplicates("number", keep="last").set_index("number")
    made = np.array(outlines, object)
    made[largest.index.to_numpy()] = largest.geometry.to_numpy()
    return made


def compared(name: str, found: Outlines) -> list[dict[str, Any]]:
    """Return a row of figures for each way to shape the outlines."""
    outlines, truth, pixel_size_m = found.outlines, found.truth, found.pixel_size_m
    metres = load_task("buildings").shape.tolerance_m or 0.5
    tolerance = max(FINEST, metres / pixel_size_m)
    rules = rules_of(tolerance, least_iou=load_task("buildings").shape.min_iou)
    flags: list[float] = []

    def ours() -> Polygons:
        shapes, regular = regularised(outlines, rules=rules)
        flags[:] = [float(regular.mean())]
        return shapes

    def theirs(tolerance_m: float) -> Polygons:
        ground = shapely.transform(outlines, lambda coords: coords * pixel_size_m)
        shaped = by_buildingregulariser(ground, tolerance=tolerance_m)
        return shapely.transform(shaped, lambda coords: coords / pixel_size_m)

    ways: dict[str, Callable[[], Polygons]] = {
        "traced": lambda: outlines,
        f"Douglas-Peucker {metres:g} m": lambda: shapely.simplify(outlines, metres / pixel_size_m),
        "simplified": lambda: soundly_simplified(
            outlines, rules=Rules(simplify=tolerance, stray=2 * tolerance, least_iou=0.8)
        ),
        f"buildingregulariser {metres:g} m": lambda: theirs(metres),
        "buildingregulariser 1 m": lambda: theirs(1.0),
        "regularised": ours,
    }
    rows = []
    for way, call in ways.items():
        # Once for what is compiled on its first use; the second time counts, of this
        # process alone: what else runs on the machine does not.
        call() if way == "regularised" else None
        start = time.process_time()
        shaped = call()
        seconds = time.process_time() - start
        rows.append(
            {"scene": name, "way": way, "n": len(outlines), "cpu_s": seconds}
            | figures(shaped, outlines, truth)
            | ({"regularised": flags[0]} if way == "regularised" else {})
        )
    return rows


def main() -> None:
    """Shape the same outlines in each way; tell time, likeness, vertices and overlaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", type=Path, help="with NAME.geojson beside them")
    parser.add_argument("--crop", type=int, default=4096)
    parser.add_argument("--seeds", type=int, default=2, help="made settlements, without scenes")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for scene in chosen.scenes:
        with tempfile.TemporaryDirectory() as folder:
            found = mapped(scene, crop=chosen.crop, folder=Path(folder))
            between = mapped(scene, crop=chosen.crop, folder=Path(folder), outline="subpixel")
        told = {"scene": scene.stem, "way": "subpixel", "n": len(between.outlines)}
        rows += [*compared(scene.stem, found), told | smooth(between.outlines, found.truth)]
    for seed in range(0 if chosen.scenes else chosen.seeds):
        rows += compared(f"made {seed}", made(seed=seed, size=1024, pixel_size_m=0.3))
    ways = list(dict.fromkeys(row["way"] for row in rows))
    keys = ["cpu_s", "truth_iou", "own_iou", "vertices", "right_angles", "overlap_px", "invalid"]
    for way in ways if len(rows) > len(ways) else []:
        same = [row for row in rows if row["way"] == way]
        means = {key: fmean(row[key] for row in same) for key in keys if key in same[0]}
        rows.append({"scene": "mean", "way": way} | means)
    report("regularise", rows)


if __name__ == "__main__":
    main()
