"""Layers of footprints in WGS 84, as GeoParquet and as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.vectors.geojson import geojson_geometries
from pipeline.outputs.vectors.geoparquet import BBOX, bbox_column, geo_metadata, verify_geo

LONLAT = CRS.from_user_input("OGC:CRS84")
"""The reference system of every layer."""


def write_layer(
    path: Path, tables: Iterable[pa.Table], *, schema: pa.Schema, notes: Mapping[str, str]
) -> int:
    """Write a layer as GeoParquet 1.1 with a bbox column: a row group for each table.

    Args:
        path: The file to be.
        tables: Rows of ``schema``; ``geometry`` is WKB of valid polygons in longitude and
            latitude, outer rings counter-clockwise.
        schema: Columns, ``geometry`` the last one.
        notes: Further metadata of the file, by name.

    Returns:
        Rows written.

    Raises:
        ExportError: The file could not be written.
    """
    fields = [*schema][:-1]
    full = pa.schema([*fields, pa.field("bbox", BBOX, nullable=False), schema.field("geometry")])
    rows, types = 0, set[int]()
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with (
        write_atomically(path, verify=verify_geo) as part,
        pq.ParquetWriter(
            part, full, compression="zstd", compression_level=3, store_schema=False
        ) as writer,
    ):
        for table in tables:
            if not len(table):
                continue
            shapes = shapely.from_wkb(table["geometry"].to_numpy())
            bounds = shapely.bounds(shapes)
            extent[:2] = np.minimum(extent[:2], bounds[:, :2].min(axis=0))
            extent[2:] = np.maximum(extent[2:], bounds[:, 2:].max(axis=0))
            types |= set(shapely.get_type_id(shapes).tolist())
            columns = {name: table[name] for name in schema.names}
            writer.write_table(pa.table({**columns, "bbox": bbox_column(bounds)}, schema=full))
            rows += len(table)
        geo = geo_metadata(LONLAT, types=types, extent=extent if rows else None)
        writer.add_key_value_metadata({"geo": geo, **notes})
    return rows


def write_layer_geojson(
    path: Path, tables: Iterable[pa.Table], *, key: str, name: str | None
) -> int:
    """Write a layer as GeoJSON (RFC 7946), a feature a line.

    Args:
        path: The file to be.
        tables: Rows with ``geometry`` as for `write_layer`; a column ``bbox`` is left out.
        key: The column that is the features' ``id``.
        name: Of the layer, a FeatureCollection; None for Features alone, a line each.

    Returns:
        Features written.

    Raises:
        ExportError: The file could not be written.
    """
    features = 0
    with write_atomically(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        if name is not None:
            file.write(f'{{"type":"FeatureCollection","name":{json.dumps(name)},"features":[')
        for table in tables:
            for feature in _features(table, key):
                if name is not None:
                    file.write(",\n" if features else "\n")
                file.write(feature if name is not None else f"{feature}\n")
                features += 1
        if name is not None:
            file.write("\n]}\n")
    return features


def _features(table: pa.Table, key: str) -> Iterator[str]:
    shapes = shapely.from_wkb(table["geometry"].to_numpy())
    names = [name for name in table.column_names if name not in {"geometry", "bbox"}]
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_told).encode
    columns = [table[name].to_pylist() for name in names]
    which = names.index(key)
    for *values, shape in zip(*columns, geojson_geometries(shapes), strict=True):
        known = {name: one for name, one in zip(names, values, strict=True) if one is not None}
        yield (
            f'{{"type":"Feature","id":{dump(values[which])},"properties":{dump(known)},'
            f'"geometry":{shape}}}'
        )


def _told(value: Any) -> str:
    """Return a moment as RFC 3339 in UTC, without empty fractions."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} has no form in JSON")
    return value.isoformat().replace("+00:00", "Z")
