"""GeoJSON as it comes: unclosed rings, null geometries, old ``crs`` members, lines of features."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import ConfigError

Json = Any
"""A JSON value, not looked into yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoJson:
    """What a GeoJSON file holds."""

    geometry: Shaped[np.ndarray, " n"]
    """A shapely geometry for each feature, valid or not; None where it has none."""
    crs: CRS
    """OGC:CRS84, or what an old ``crs`` member names."""
    columns: dict[str, list[Any]]
    """Wanted attributes, one value a feature."""
    notes: tuple[str, ...]
    """What was repaired, with counts."""


def load_json(path: Path) -> Json:
    """Return the JSON value of a file; of several lines of JSON, a FeatureCollection.

    Raises:
        ConfigError: It is not JSON, or not whole; NaN and Infinity are not JSON.
    """

    def refuse(word: str) -> None:
        raise ConfigError(f"{path}: it holds {word}, which is not JSON; export it again without")

    try:
        text = path.read_bytes().decode("utf-8-sig")
        try:
            return json.loads(text, parse_constant=refuse)
        except json.JSONDecodeError as error:
            lines = [line.strip(" \t\r\x1e") for line in text.split("\n")]
            if error.msg != "Extra data" and not text.startswith("\x1e"):
                raise
            features = [json.loads(line, parse_constant=refuse) for line in lines if line]
            return {"type": "FeatureCollection", "features": features}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: it is not UTF-8 text; export it again") from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}: it is damaged or cut off at line {error.lineno}, column {error.colno} "
            f"({error.msg}); export it again"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: it is nested too deeply; export it again") from error
    except ValueError as error:  # whole numbers of thousands of digits
        raise ConfigError(f"{path}: it holds no usable JSON ({error}); export it again") from error


def read_geojson(path: Path, *, wanted: tuple[str, ...]) -> GeoJson:
    """Return the features of a GeoJSON file.

    Rings that are not closed are closed; positions keep ``x, y`` only.

    Raises:
        ConfigError: It is not GeoJSON, is damaged, or has coordinates that no
            reference system of it allows.
    """
    value = load_json(path)
    features = _features(path, value)
    repairs: Counter[str] = Counter()
    shapes = np.empty(len(features), object)
    for row, feature in enumerate(features):
        try:
            shapes[row] = _shape(feature.get("geometry"), repairs)
        except (
            *(TypeError, ValueError, KeyError, AttributeError),
            *(IndexError, OverflowError, RecursionError),
        ) as error:
            raise ConfigError(
                f"{path}: the geometry of feature {row + 1} is not GeoJSON ({error}); repair it"
            ) from error
    properties = [feature.get("properties") or {} for feature in features]
    columns = {
        name: [one.get(name) if isinstance(one, dict) else None for one in properties]
        for name in wanted
        if any(isinstance(one, dict) and name in one for one in properties)
    }
    crs = _crs(path, value)
    _check_degrees(path, shapes, crs)
    notes = tuple(
        f"{count} {what.replace('|s|', '' if count == 1 else 's')}"
        for what, count in sorted(repairs.items())
    )
    return GeoJson(geometry=shapes, crs=crs, columns=columns, notes=notes)


def _features(path: Path, value: Json) -> list[dict[str, Any]]:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "FeatureCollection" and isinstance(value.get("features"), list):
        features: list[dict[str, Any]] = value["features"]
    elif kind == "Feature":
        features = [value]
    elif kind in ("Polygon", "MultiPolygon", "GeometryCollection"):
        features = [{"type": "Feature", "properties": {}, "geometry": value}]
    else:
        raise ConfigError(f"{path}: it is JSON, but not GeoJSON; give a FeatureCollection")
    if not all(isinstance(feature, dict) for feature in features):
        raise ConfigError(f"{path}: not all of its features are objects; export it again")
    if any(feature.get("type") == "FeatureCollection" for feature in features):
        raise ConfigError(f"{path}: it holds several collections; write them as one")
    return features


def _crs(path: Path, value: Json) -> CRS:
    member = value.get("crs")
    if member is None:
        return CRS.from_user_input("OGC:CRS84")
    try:
        if member["type"] != "name":
            raise ConfigError(f"{path}: its crs member is a link; name the CRS instead")
        crs = CRS.from_user_input(member["properties"]["name"])
    except (CRSError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: its crs member names no known CRS; reproject it") from error
    # GeoJSON of before 2016 has x first whatever the authority says.
    return crs


def _check_degrees(path: Path, shapes: Shaped[np.ndarray, " n"], crs: CRS) -> None:
    points = shapely.get_coordinates(shapes)
    if not crs.is_geographic or not len(points):
        return
    widest, highest = np.abs(points).max(axis=0)
    if widest > 540 or highest > 90.0001:
        raise ConfigError(
            f"{path}: a coordinate is {widest:.7g}, {highest:.7g}, but GeoJSON without a crs "
            "member is in degrees; reproject it to longitude and latitude"
        )


def _shape(geometry: Json, repairs: Counter[str]) -> Json:
    if geometry is None:
        return None
    kind = geometry["type"]
    if kind == "GeometryCollection":
        parts = [_shape(part, repairs) for part in geometry["geometries"]]
        return shapely.geometrycollections([part for part in parts if part is not None])
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return shapely.Point(0, 0)  # told apart from polygons, and then left out
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
