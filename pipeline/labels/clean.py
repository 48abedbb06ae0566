"""Polygons cleaned for comparison, with what was done about each fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Int64, Shaped

from pipeline.core.scores.overlaps import overlaps
from pipeline.errors import ConfigError
from pipeline.labels.geojson import Json
from pipeline.labels.objects import Grid, Objects
from pipeline.labels.repair import repaired, several, unwrapped
from pipeline.labels.vectors import Vectors

_LABELS = ("class", "label", "class_name", "category")
_CONFIDENCES = ("confidence", "score", "probability")


def cleaned(vectors: Vectors, *, grid: Grid | None = None) -> Objects:
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
        notes.append(f"{several(null, 'feature')} without geometry left out")
    if other and not areal.any():
        raise ConfigError(
            f"{vectors.source}: it holds {other} points or lines, but no polygon; "
            "give the outlines of the objects"
        )
    if other:
        notes.append(f"{several(other, 'point or line', 'points or lines')} left out")
    rows = np.flatnonzero(areal)
    shapes = unwrapped(shapes[rows], vectors.crs, notes)
    shapes = repaired(shapes, notes)
    parts, part_of = shapely.get_parts(shapes, return_index=True)
    parts, inner_of = shapely.get_parts(parts, return_index=True)
    part_of = part_of[inner_of]
    good = (shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)
    parts, part_of = parts[good], part_of[good]
    lost = len(rows) - len(np.unique(part_of))
    many = np.bincount(part_of)
    many = many[many > 1]
    if lost:
        notes.append(f"{several(lost, 'empty or flat polygon')} left out")
    if len(many):
        what = several(len(many), "polygon")
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


def without_repeats(truth: Objects) -> Objects:
    """Return truth in which nothing is there twice: duplicates, and polygons inside others."""
    notes = list(truth.notes)
    if not len(truth):
        return truth
    keys = shapely.to_wkb(shapely.normalize(truth.polygon))
    _, first = np.unique(keys.astype(bytes) if keys.dtype != object else keys, return_index=True)
    kept = truth.take(np.sort(first))
    if len(kept) < len(truth):
        notes.append(f"{several(len(truth) - len(kept), 'duplicate polygon')} counted once")
    pairs = overlaps(kept.polygon, kept.polygon)
    pairs = pairs.where(pairs.predicted != pairs.truth)
    mine, other = pairs.predicted_area[pairs.predicted], pairs.truth_area[pairs.truth]
    nested = (pairs.shared >= 0.95 * mine) & ((mine < other) | (pairs.predicted > pairs.truth))
    drop = np.zeros(len(kept), bool)
    drop[pairs.predicted[nested]] = True
    crossing = pairs.where(~drop[pairs.predicted] & ~drop[pairs.truth])
    crossing = crossing.where((crossing.iou > 0.01) & (crossing.predicted < crossing.truth))
    if drop.any():
        notes.append(f"{several(int(drop.sum()), 'polygon')} inside another not counted again")
    if len(crossing):
        notes.append(f"{several(len(crossing), 'pair')} of true polygons overlapping")
    return replace(kept.take(~drop), notes=tuple(notes))


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
            notes.append(f"{several(missing, 'object')} without confidence given 0")
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
