"""GeoJSON against RFC 7946, and what Overtile promises beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64, Int64

from pipeline.labels.json_stream import members, parse
from pipeline.validation.complaints import Findings

_AT_ONCE = 2000


def check_geojson(path: Path) -> list[str]:
    """Return what is wrong with a FeatureCollection; it is read feature by feature."""
    complaints = Findings()
    try:
        _check_features(_collection(path, complaints), complaints)
    except ValueError as error:
        complaints.add(f"not readable as GeoJSON: {error}")
    return complaints.lines()


def check_geojsonl(path: Path) -> list[str]:
    """Return what is wrong with newline-delimited GeoJSON: a Feature on each line."""
    complaints = Findings()
    try:
        with path.open(encoding="utf-8") as file:
            _check_features((parse(line) for line in file), complaints)
    except ValueError as error:
        complaints.add(f"not readable as newline-delimited GeoJSON: {error}")
    return complaints.lines()


def _collection(path: Path, complaints: Findings) -> Iterator[Any]:
    seen: dict[str, Any] = {}
    for key, value in members(path, "features"):
        seen[key] = value if key != "features" else True
        if key == "features" and value is not None:
            yield value
    if seen.get("type") != "FeatureCollection":
        complaints.add(f"type is {seen.get('type')!r}, not 'FeatureCollection' (RFC 7946, 3.3)")
    if "features" not in seen:
        complaints.add("there is no features array (RFC 7946, 3.3)")
    if "crs" in seen:
        complaints.add("there is a crs member: RFC 7946, 4 knows WGS 84 only")


def _check_features(features: Iterable[Any], complaints: Findings) -> None:
    ids = []
    numbered = enumerate(features)
    while batch := list(islice(numbered, _AT_ONCE)):
        sound = [(at, feature) for at, feature in batch if _check_frame(at, feature, complaints)]
        ids += [hash(feature["id"]) for _, feature in sound if "id" in feature]
        _check_rings(sound, complaints)
    if len(set(ids)) < len(ids):
        complaints.add(f"{len(ids) - len(set(ids))} ids stand more than once")


def _check_frame(at: int, feature: Any, complaints: Findings) -> bool:
    """Note what is wrong around the coordinates; return whether these can be checked."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        complaints.add("is not a Feature (RFC 7946, 3.2)", at)
        return False
    if "crs" in feature:
        complaints.add("has a crs member: RFC 7946, 4 knows WGS 84 only", at)
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        complaints.add("has no properties (RFC 7946, 3.2)", at)
    elif not 0 <= properties.get("confidence", 0) <= 1:
        complaints.add("has a confidence outside 0..1", at)
    if not isinstance(feature.get("id", ""), str | int | float):
        complaints.add("has an id that is neither text nor number (RFC 7946, 3.2)", at)
        return False
    geometry = feature.get("geometry")
    geometry = geometry if isinstance(geometry, dict) else {}
    kind = geometry.get("type")
    if kind not in {"Polygon", "MultiPolygon"}:
        complaints.add("has a geometry that is neither Polygon nor MultiPolygon", at)
        return False
    coordinates = geometry.get("coordinates")
    if _are_positions([coordinates] if kind == "Polygon" else coordinates):
        return True
    complaints.add("has no rings of four or more [longitude, latitude] (RFC 7946, 3.1.6)", at)
    return False


def _are_positions(polygons: Any) -> bool:
    """Return whether these are polygons of rings of four or more pairs of numbers.

    Spelt with ``map``: a loop over the points takes three times as long.
    """
    try:
        rings = list(chain.from_iterable(polygons))
        points = list(chain.from_iterable(rings))
        numbers = set(map(type, chain.from_iterable(points)))
        return (
            {type(polygons), *map(type, polygons), *map(type, rings), *map(type, points)} == {list}
            and min(map(len, polygons)) >= 1
            and min(map(len, rings)) >= 4
            and set(map(len, points)) == {2}
            and numbers <= {int, float}
        )
    except (TypeError, ValueError):
        return False


def _check_rings(features: list[tuple[int, Any]], complaints: Findings) -> None:
    if not features:
        return
    polygons: list[Any] = []
    owners: list[int] = []
    parts_of: list[int] = []
    for at, feature in features:
        geometry = feature["geometry"]
        several = geometry["type"] == "MultiPolygon"
        parts = geometry["coordinates"] if several else [geometry["coordinates"]]
        polygons += parts
        owners += [at] * len(parts)
        parts_of.append(len(parts))
    owner = np.array(owners)
    rings = [len(polygon) for polygon in polygons]
    lengths = np.array([len(ring) for polygon in polygons for ring in polygon])
    points = np.array(
        list(chain.from_iterable(ring for polygon in polygons for ring in polygon)), np.float64
    )
    first_rings = np.concatenate([[0], np.cumsum(rings)])
    outer = np.zeros(len(lengths), bool)
    outer[first_rings[:-1]] = True
    ring_owner = np.repeat(owner, rings)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    open_rings = (points[starts[:-1]] != points[starts[1:] - 1]).any(axis=1)
    complaints.add_all("has a ring that is not closed (RFC 7946, 3.1.6)", ring_owner[open_rings])
    _check_points(points, np.repeat(ring_owner, lengths), starts, complaints)

    area = _signed_areas(points, starts)
    complaints.add_all(
        "has an outer ring that runs clockwise (RFC 7946, 3.1.6)", ring_owner[outer & (area < 0)]
    )
    complaints.add_all(
        "has a hole that runs counter-clockwise (RFC 7946, 3.1.6)", ring_owner[~outer & (area > 0)]
    )
    if open_rings.any():
        return
    offsets = starts, first_rings, np.concatenate([[0], np.cumsum(parts_of)])
    shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points, offsets)
    which = np.array([at for at, _ in features])
    complaints.add_all("is not a valid geometry (OGC)", which[~shapely.is_valid(shapes)])
    complaints.add_all("has no area", which[shapely.area(shapes) == 0])


def _check_points(
    points: Float64[np.ndarray, "n 2"],
    owner: Int64[np.ndarray, " n"],
    starts: Int64[np.ndarray, " m"],
    complaints: Findings,
) -> None:
    outside = (np.abs(points) > [180.0, 90.0]).any(axis=1)
    complaints.add_all("lies outside -180..180, -90..90 degrees", np.unique(owner[outside]))
    finer = (np.abs(points * 1e7 - np.round(points * 1e7)) > 1e-3).any(axis=1)
    complaints.add_all("has more than 7 decimals", np.unique(owner[finer]))
    within_ring = np.ones(max(len(points) - 1, 0), bool)
    within_ring[starts[1:-1] - 1] = False
    jumps = (np.abs(np.diff(points[:, 0])) > 180) & within_ring
    # Along a pole every longitude is the same place: so are polar caps drawn.
    pole = np.abs(points[:, 1]) == 90
    jumps &= ~(pole[1:] & pole[:-1])
    complaints.add_all(
        "crosses the antimeridian and is not cut there (RFC 7946, 3.1.9)",
        np.unique(owner[1:][jumps]),
    )


def _signed_areas(
    points: Float64[np.ndarray, "n 2"], starts: Int64[np.ndarray, " m"]
) -> Float64[np.ndarray, " r"]:
    # Taken from each ring's first point: far from the origin, squares lose the area.
    local = points - np.repeat(points[starts[:-1]], np.diff(starts), axis=0)
    cross = local[:-1, 0] * local[1:, 1] - local[1:, 0] * local[:-1, 1]
    cross = np.concatenate([cross, [0.0]])
    cross[starts[1:] - 1] = 0.0
    return np.add.reduceat(cross, starts[:-1]) / 2
