"""Polygons cleaned for comparison, with what was done about each fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped
from pyproj import CRS, Proj, Transformer

from pipeline.core.metrics.overlaps import Overlaps, in_threads, overlaps
from pipeline.errors import ConfigError
from pipeline.labels.json_text import Json
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.labels.repair import count_noun, repair_polygons, unwrap_antimeridian
from pipeline.labels.vectors import Vectors

_LABELS = ("class", "label", "class_name", "category")
_CONFIDENCES = ("confidence", "score", "probability")
INSIDE_SHARE = 0.95
"""Share of a polygon's area that another covers, from which it is not counted again."""
EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth (IUGG)."""
NEAR_M = 0.3
"""Hausdorff distance up to which two overlapping polygons are copies of one.

Copies whose corners are up to 0.1 m off in x and y differ from each other by up to 0.28 m.
"""


def clean_polygons(vectors: Vectors, *, grid: PixelGrid | None = None) -> Objects:
    """Return polygons that can be compared.

    Invalid ones are repaired, lone points and lines and empty geometries left out,
    parts that do not touch made objects of their own.

    Args:
        vectors: Geometries as they stand in a file.
        grid: The pixels they were drawn on, where there are any.

    Raises:
        ConfigError: There are geometries, but no polygon among them.
    """
    notes = list(vectors.notes)
    shapes = vectors.geometry
    kinds = shapely.get_type_id(shapes)
    areal = np.isin(kinds, [3, 6, 7])  # Polygon, MultiPolygon, GeometryCollection
    null = int((kinds < 0).sum())
    other = int((~areal).sum()) - null
    if null:
        notes.append(f"{count_noun(null, 'feature')} without geometry left out")
    if other and not areal.any():
        raise ConfigError(
            f"{vectors.source}: it holds {other} points or lines, but no polygon; "
            "give the outlines of the objects"
        )
    if other:
        notes.append(f"{count_noun(other, 'point or line', 'points or lines')} left out")
    rows = np.flatnonzero(areal)
    shapes = unwrap_antimeridian(shapes[rows], vectors.crs, notes)
    shapes = repair_polygons(shapes, notes)
    parts, part_of = shapely.get_parts(shapes, return_index=True)
    parts, inner_of = shapely.get_parts(parts, return_index=True)
    part_of = part_of[inner_of]
    good = (shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)
    parts, part_of = parts[good], part_of[good]
    lost = len(rows) - len(np.unique(part_of))
    many = np.bincount(part_of)
    many = many[many > 1]
    if lost:
        notes.append(f"{count_noun(lost, 'empty or flat polygon')} left out")
    if len(many):
        what = count_noun(len(many), "polygon")
        notes.append(f"{what} of several parts taken apart into {many.sum()}")
    rows = rows[part_of]
    found = Objects(
        source=vectors.source,
        polygon=parts,
        crs=vectors.crs,
        label=_labels(vectors, rows),
        confidence=_confidence(vectors, rows, notes),
        id=_column(vectors, ("id",), rows),
        grid=grid,
    )
    return replace(found, notes=tuple(notes))


def without_repeats(reference: Objects) -> Objects:
    """Remove repeated polygons: exact copies, near copies, and polygons inside others.

    A polygon repeats another where the other covers 95 % of it, or where both cover half of
    the larger one and no point of either boundary is farther than `NEAR_M` from the other
    polygon (Hausdorff distance). Of each group of repeats the first stays by a total order:
    larger area, then smaller coordinates; the order of rows in the file has no influence.
    """
    if not len(reference):
        return reference
    notes = list(reference.notes)
    keys = shapely.to_wkb(shapely.normalize(reference.polygon))
    _, first = np.unique(keys.astype(bytes) if keys.dtype != object else keys, return_index=True)
    kept = reference.take(np.sort(first))
    copies = len(reference) - len(kept)
    pairs = overlaps(kept.polygon, kept.polygon)
    pairs = pairs.where(pairs.predicted != pairs.reference)
    near = _near_copies(kept, pairs)
    inside = pairs.shared >= INSIDE_SHARE * pairs.predicted_area[pairs.predicted]
    repeats = pairs.where(near | inside)
    drop = _repeated(kept, repeats)
    copied = np.zeros(len(kept), bool)
    copied[pairs.predicted[near & ~drop[pairs.reference]]] = True
    copies += int((drop & copied).sum())
    nested = int((drop & ~copied).sum())
    if copies:
        notes.append(f"{count_noun(copies, 'duplicate polygon')} counted once")
    if nested:
        notes.append(f"{count_noun(nested, 'polygon')} inside another not counted again")
    crossing = pairs.where(~drop[pairs.predicted] & ~drop[pairs.reference])
    crossing = crossing.where((crossing.iou > 0.01) & (crossing.predicted < crossing.reference))
    if len(crossing):
        notes.append(f"{count_noun(len(crossing), 'pair')} of true polygons overlapping")
    return replace(kept.take(~drop), notes=tuple(notes))


def _near_copies(objects: Objects, pairs: Overlaps) -> Bool[np.ndarray, " pairs"]:
    """Test which pairs are copies of one polygon, moved or redrawn by less than `NEAR_M`."""
    area = pairs.predicted_area
    larger = np.maximum(area[pairs.predicted], area[pairs.reference])
    near = pairs.shared >= 0.5 * larger
    rows = np.flatnonzero(near)
    one, other = objects.polygon[pairs.predicted[rows]], objects.polygon[pairs.reference[rows]]
    limit = 1.0
    if objects.crs is not None:
        scale = _metres_per_unit(objects.crs, shapely.bounds(one))
        origin = shapely.bounds(one)[:, :2]
        one, other = _scaled(one, origin, scale), _scaled(other, origin, scale)
        limit = NEAR_M
    near[rows] = in_threads(shapely.hausdorff_distance, one, other) <= limit
    return np.asarray(near, bool)


def _metres_per_unit(crs: CRS, boxes: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, "n 2"]:
    """Compute the length on the ground of one unit of x and of y in the middle of each box."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    if crs.is_geographic:  # the factor is radians per unit
        degree = EARTH_RADIUS_M * unit
        return np.column_stack([degree * np.cos(y * unit), np.full(len(y), degree)])
    if not len(boxes):
        return np.empty((0, 2))
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    scale = Proj(crs).get_factors(*to_degrees.transform(x, y)).meridional_scale
    length = np.broadcast_to(unit / np.asarray(scale, np.float64), len(y))
    return np.column_stack([length, length])


def _scaled(
    polygons: Shaped[np.ndarray, " n"],
    origin: Float64[np.ndarray, "n 2"],
    scale: Float64[np.ndarray, "n 2"],
) -> Shaped[np.ndarray, " n"]:
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    moved = (points - origin[owner]) * scale[owner]
    return np.asarray(shapely.set_coordinates(polygons.copy(), moved), object)


def _repeated(objects: Objects, repeats: Overlaps) -> Bool[np.ndarray, " n"]:
    """Test which polygons repeat one that stays; ``repeats`` are pairs (repeat, other)."""
    drop = np.zeros(len(objects), bool)
    if not len(repeats):
        return drop
    rows = np.unique(np.concatenate([repeats.predicted, repeats.reference]))
    keys = shapely.to_wkb(shapely.normalize(objects.polygon[rows]))
    first = sorted(range(len(rows)), key=lambda at: (-repeats.reference_area[rows[at]], keys[at]))
    rank = np.zeros(len(objects), np.int64)
    rank[rows[first]] = np.arange(len(rows))
    below = repeats.where(rank[repeats.reference] < rank[repeats.predicted])
    starts = below.starts()
    for row in rows[first]:
        others = below.reference[starts[row] : starts[row + 1]]
        drop[row] = bool((~drop[others]).any())
    return drop


def _column(
    vectors: Vectors, names: tuple[str, ...], rows: Int64[np.ndarray, " some"]
) -> Shaped[np.ndarray, " some"] | None:
    for name in names:
        if name in vectors.columns:
            values = vectors.columns[name]
            return np.array([str(values[row]) for row in rows], object)
    return None


def _labels(
    vectors: Vectors, rows: Int64[np.ndarray, " some"]
) -> Shaped[np.ndarray, " some"] | None:
    found = _column(vectors, _LABELS, rows)
    return None if found is None or set(found) <= {"None", "nan", ""} else found


def _confidence(vectors: Vectors, rows: Int64[np.ndarray, " some"], notes: list[str]) -> Json:
    for name in _CONFIDENCES:
        if name not in vectors.columns:
            continue
        values = np.array([_number(one) for one in vectors.columns[name]], np.float64)[rows]
        missing = int(np.isnan(values).sum())
        if missing:
            notes.append(f"{count_noun(missing, 'object')} without confidence given 0")
        values = np.nan_to_num(values, nan=0.0)
        if len(values) and (values.min() < 0 or values.max() > 1):
            notes.append(f"{name} is not in 0..1, and was not used")
            return None
        return values
    return None


def _number(value: Json) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
