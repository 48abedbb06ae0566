"""Tolerant GeoJSON: unclosed rings, null geometries, old ``crs`` members, lines of features.

Features are decoded one at a time, so that memory holds geometries and not their JSON.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import ConfigError
from pipeline.labels.json_text import TAKEN, Json
from pipeline.labels.limits import Count, Limits
from pipeline.labels.vectors import Vectors, known_crs, refusal

_MOST_FIELDS = 1000
_COUNTED_TOGETHER = 1000


class FeatureCollector:
    """Geometries and attributes of features, taken one by one."""

    def __init__(self, path: Path, *, wanted: tuple[str, ...], limits: Limits) -> None:
        self._path, self._wanted = path, wanted
        self._count = Count(path, limits)
        self._shapes: list[Any] = []
        self._columns: dict[str, list[Any]] = {}
        self._fields: dict[str, None] = {}
        self._repairs: Counter[str] = Counter()
        self._fault: ConfigError | None = None

    def add(self, feature: Json) -> None:
        """Take a feature.

        A fault is kept until it is known that the file is GeoJSON at all.
        """
        if self._fault is None:
            try:
                self._add(feature)
            except ConfigError as error:
                self._fault = error

    def _add(self, feature: Json) -> None:
        if not isinstance(feature, dict):
            raise refusal(self._path, "not all of its features are objects", "export it again")
        if feature.get("type") == "FeatureCollection":
            raise refusal(self._path, "it holds several collections", "write them as one")
        number = len(self._shapes)
        try:
            geometry = feature.get("geometry")
            self._count.check_corners(_positions(geometry), number=number + 1)
            shape = _shape(geometry, self._repairs)
        except (
            *(TypeError, ValueError, KeyError, AttributeError),
            *(IndexError, OverflowError, RecursionError),
        ) as error:
            reason = f"the geometry of feature {number + 1} is not GeoJSON ({error})"
            raise refusal(self._path, reason, "repair it") from error
        self._shapes.append(shape)
        if len(self._shapes) % _COUNTED_TOGETHER == 0:
            self._count.add(_array(self._shapes[-_COUNTED_TOGETHER:]))
        properties = feature.get("properties")
        self._keep(number, properties if isinstance(properties, dict) else {})

    def _keep(self, number: int, properties: dict[str, Any]) -> None:
        if len(self._fields) < _MOST_FIELDS:
            self._fields.update(dict.fromkeys(properties))
        for name in self._wanted:
            if name in properties and name not in self._columns:
                self._columns[name] = [None] * number
        for name, values in self._columns.items():
            values.append(properties.get(name))

    def vectors(self, members: dict[str, Json]) -> Vectors:
        """Return the collected features, with the metadata of the file's other members.

        Raises:
            ConfigError: It is not GeoJSON, or has coordinates that no reference system of it
                allows.
        """
        kind = members.get("type")
        if kind in ("Polygon", "MultiPolygon", "GeometryCollection"):
            self.add({"type": "Feature", "properties": {}, "geometry": members})
        elif kind == "Feature":
            self.add(members)
        elif kind != "FeatureCollection" or members.get("features") is not TAKEN:
            raise refusal(self._path, "it is JSON, but not GeoJSON", "give a FeatureCollection")
        if self._fault is not None:
            raise self._fault
        shapes = _array(self._shapes)
        self._count.add(shapes[len(shapes) - len(shapes) % _COUNTED_TOGETHER :])
        crs = _crs(self._path, members)
        _check_degrees(self._path, shapes, crs)
        return Vectors(
            source=str(self._path),
            geometry=shapes,
            crs=crs,
            columns=self._columns,
            fields=tuple(self._fields),
            notes=tuple(
                f"{count} {what.replace('|s|', '' if count == 1 else 's')}"
                for what, count in sorted(self._repairs.items())
            ),
        )


def _array(shapes: list[Any]) -> Shaped[np.ndarray, " n"]:
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found


def _crs(path: Path, value: Json) -> CRS:
    member = value.get("crs")
    if member is None:
        return CRS.from_user_input("OGC:CRS84")
    try:
        if member["type"] != "name":
            raise ConfigError(f"{path}: its crs member is a link; name the CRS instead")
        crs = known_crs(path, str(member["properties"]["name"]))
    except (CRSError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: its crs member names no known CRS; reproject it") from error
    # GeoJSON of before 2016 has x first whatever the authority says.
    return crs


def _check_degrees(path: Path, shapes: Shaped[np.ndarray, " n"], crs: CRS) -> None:
    if not crs.is_geographic or not len(shapes):
        return
    bounds = np.abs(np.nan_to_num(shapely.bounds(shapes))).reshape(-1, 2)
    widest, highest = bounds.max(axis=0)
    if widest > 540 or highest > 90.0001:
        raise ConfigError(
            f"{path}: a coordinate is {widest:.7g}, {highest:.7g}, but GeoJSON without a crs "
            "member is in degrees; reproject it to longitude and latitude"
        )


def _positions(geometry: Json) -> int:
    """Return how many positions the rings of a geometry have, before they are decoded."""
    if geometry is None:
        return 0
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return sum(_positions(part) for part in geometry["geometries"])
    if kind not in ("Polygon", "MultiPolygon"):
        return 0
    listed = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    return sum(len(ring) for rings in listed for ring in rings)


def _shape(geometry: Json, repairs: Counter[str]) -> Json:
    if geometry is None:
        return None
    kind = geometry["type"]
    if kind == "GeometryCollection":
        parts = [_shape(part, repairs) for part in geometry["geometries"]]
        return shapely.geometrycollections([part for part in parts if part is not None])
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return shapely.Point(0, 0)  # distinguished from polygons, and then left out
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"type {kind!r}")
    listed = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    polygons = [polygon for rings in listed for polygon in _polygon(rings, repairs)]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _polygon(rings: Json, repairs: Counter[str]) -> Iterator[shapely.Polygon]:
    usable = []
    for place, ring in enumerate(rings):
        points = [(_number(position[0]), _number(position[1])) for position in ring]
        if not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
            raise ValueError("a coordinate is not finite")
        if points and points[0] != points[-1]:
            repairs["unclosed ring|s| closed"] += 1
            points.append(points[0])
        if len(points) >= 4:
            usable.append(points)
        else:
            repairs["ring|s| with fewer than three corners left out"] += 1
            if place == 0:
                return
    if usable:
        yield shapely.Polygon(usable[0], usable[1:])


def _number(value: Json) -> float:
    """Return a coordinate.

    Raises:
        ValueError: It is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"a coordinate is {json.dumps(value)[:40]}, and no number") from None
