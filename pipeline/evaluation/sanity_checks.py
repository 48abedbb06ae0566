"""Checks of a reference that may not fit its prediction: elsewhere, partial, or shifted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Float64, Shaped
from pyproj import CRS, Geod

from pipeline.core.metrics.overlaps import Overlaps
from pipeline.errors import ConfigError
from pipeline.evaluation.common_grid import CommonGrid, reproject_polygons
from pipeline.labels.objects import Objects
from pipeline.labels.repair import count_noun

FEWEST_PAIRS = 5
"""Overlapping pairs from which on a common offset is reported."""
_GEOD = Geod(ellps="WGS84")


def check_coverage(
    predicted: Shaped[np.ndarray, " n"], reference: Shaped[np.ndarray, " m"], frame: CommonGrid
) -> None:
    """Refuse truth that seems to cover a part of the scene only.

    Raises:
        ConfigError: It covers under a third of the scene, and most predictions are elsewhere.
    """
    if len(reference) < 5 or len(predicted) < 20:
        return
    margin = min(100, 0.05 * min(frame.grid.width, frame.grid.height))
    corners = shapely.multipoints(shapely.bounds(reference).reshape(-1, 2))
    hull = shapely.buffer(shapely.convex_hull(corners), margin)
    share = float(shapely.area(hull)) / (frame.grid.width * frame.grid.height)
    away = 1 - shapely.intersects(hull, predicted).mean()
    if share < 1 / 3 and away > 0.5:
        raise ConfigError(
            f"truth lies in {share:.0%} of the scene, and {away:.0%} of the predictions are "
            "elsewhere; give the labelled area with --aoi"
        )


def labelled(
    reference: Objects, frame: CommonGrid
) -> tuple[Shaped[np.ndarray, " areas"] | None, list[str]]:
    """Return the part of the scene that a label raster covers, in pixels, and a note.

    None where it covers all of it, or none, or truth is no raster.
    """
    grid = reference.grid
    if grid is None or grid.georef is None or frame.grid.georef is None or grid == frame.grid:
        return None, []
    edge = shapely.box(0, 0, grid.width, grid.height)
    # Straight edges may be curved in another CRS.
    edge = shapely.segmentize(edge, max(grid.width, grid.height) / 64)
    placed = np.array([shapely.transform(edge, grid.georef.to_map)], object)
    scene = shapely.box(0, 0, frame.grid.width, frame.grid.height)
    parts = shapely.get_parts(shapely.intersection(frame.to_pixels(placed, reference.crs), scene))
    parts = parts[shapely.get_type_id(parts) == 3]
    share = float(shapely.area(parts).sum() / shapely.area(scene))
    if not 0 < share < 0.999:
        return None, []
    note = f"truth: its raster covers {share:.0%} of the scene; what lies outside does not count"
    return np.asarray(parts, object), [note]


def outside_notes(reference: Objects, outside: int, inside: int, frame: CommonGrid) -> list[str]:
    """Return notes on reference objects outside the scene.

    Args:
        reference: All of it.
        outside: How many of its polygons do not touch the scene.
        inside: How many do.
        frame: The scene.
    """
    if not len(reference):
        return ["truth: there is no polygon in it"]
    if not outside:
        return []
    if inside:
        return [f"truth: {count_noun(outside, 'polygon')} outside the scene left out"]
    note = f"no truth inside the scene: {count_noun(outside, 'true polygon')}, all elsewhere"
    note += _where(reference, frame)
    if reference.crs is not None and reference.crs.is_geographic:

        def exchanged(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
            return points[:, ::-1]

        turned = replace(reference, polygon=shapely.transform(reference.polygon, exchanged))
        scene = shapely.box(0, 0, frame.grid.width, frame.grid.height)
        if shapely.intersects(frame.to_pixels(turned.polygon, reference.crs), scene).any():
            note += "; with longitude and latitude exchanged they would lie in it"
    return [note]


def offset_notes(
    predicted: Shaped[np.ndarray, " n"],
    reference: Shaped[np.ndarray, " m"],
    pairs: Overlaps,
    frame: CommonGrid,
) -> list[str]:
    """Return notes where nothing overlaps, or where all overlaps are shifted to one side."""
    if len(predicted) and len(reference) and not len(pairs):
        return ["not one prediction touches a truth: are both of the same ground, and well placed?"]
    best = pairs.where(_best(pairs.predicted, pairs.shared) & _best(pairs.reference, pairs.shared))
    if len(best) < FEWEST_PAIRS:
        return []
    east, north = np.median(offsets(predicted[best.predicted], reference[best.reference]), axis=0)
    width = float(np.median(np.sqrt(shapely.area(reference[best.reference]))))
    if np.hypot(east, north) < 0.2 * width:
        return []
    ways = ("east", "west", "north", "south")
    if frame.unit == "px":
        ways = ("right", "left", "down", "up")
    steps = [
        f"{abs(step):.1f} {frame.unit} {ways[row] if step > 0 else ways[row + 1]}"
        for row, step in ((0, east), (2, north))
        if abs(step) >= 0.05
    ]
    return [
        f"predictions lie {' and '.join(steps)} of truth (median of {len(best)} overlapping "
        "pairs): one of the two seems to be misplaced"
    ]


def offsets(
    predicted: Shaped[np.ndarray, " pairs"], reference: Shaped[np.ndarray, " pairs"]
) -> Float64[np.ndarray, "pairs 2"]:
    """Return from where to where each pair's middle moves, from truth to prediction."""
    one, other = shapely.centroid(predicted), shapely.centroid(reference)
    return np.column_stack(
        [shapely.get_x(one) - shapely.get_x(other), shapely.get_y(one) - shapely.get_y(other)]
    )


def _best(owner: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return which pair is its owner's greatest overlap."""
    most = np.zeros(int(owner.max(initial=-1)) + 1)
    np.maximum.at(most, owner, shared)
    return np.asarray(shared == most[owner])


def _where(reference: Objects, frame: CommonGrid) -> str:
    georef = frame.grid.georef
    if georef is None or reference.crs is None:
        return ""
    placed = shapely.total_bounds(
        reproject_polygons(reference.polygon, reference.crs, CRS.from_user_input("OGC:CRS84"))
    )
    there = (placed[:2] + placed[2:]) / 2
    here = georef.to_lonlat(np.array([[frame.grid.width / 2, frame.grid.height / 2]]))[0]
    if not np.isfinite([*there, *here]).all():
        return ""
    apart = _GEOD.inv(*here, *there)[2] / 1000
    return (
        f", {apart:,.{0 if apart > 10 else 1}f} km away (around longitude {there[0]:.4f}, "
        f"latitude {there[1]:.4f}; the scene is around {here[0]:.4f}, {here[1]:.4f})"
    )
