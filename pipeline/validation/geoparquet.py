"""GeoParquet against its specification 1.1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Int64, Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.validation.complaints import Findings
from pipeline.validation.polygons import Extent, check_polygons, not_within, read_wkb

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TYPES = {
    shapely.GeometryType.POLYGON: "Polygon",
    shapely.GeometryType.MULTIPOLYGON: "MultiPolygon",
}


def check_geoparquet(path: Path) -> list[str]:
    """Return what is wrong with a GeoParquet file; it is read row group by row group."""
    complaints = Findings()
    try:
        with pq.ParquetFile(path) as file:
            column = _check_metadata(file, complaints)
            if column is not None:
                _check_rows(file, column, complaints)
    except (OSError, pa.ArrowException, ValueError) as error:
        complaints.add(f"not readable as Parquet: {error}")
    if not complaints.lines():
        _check_reading(path, complaints)
    return complaints.lines()


def _check_metadata(file: pq.ParquetFile, complaints: Findings) -> dict[str, Any] | None:
    """Check the ``geo`` metadata; return the geometry column's, with its ``name``."""
    raw = (file.metadata.metadata or {}).get(b"geo")
    if raw is None:
        complaints.add("there is no geo metadata")
        return None
    geo = json.loads(raw)
    if not str(geo.get("version", "")).startswith("1.1."):
        complaints.add(f"geo version is {geo.get('version')!r}, not 1.1")
    name = geo.get("primary_column")
    column = geo.get("columns", {}).get(name)
    if not isinstance(column, dict):
        complaints.add("geo.columns does not describe the primary column")
        return None
    if name not in file.schema_arrow.names:
        complaints.add(f"there is no column {name!r}")
        return None
    if column.get("encoding") != "WKB":
        complaints.add(f"encoding is {column.get('encoding')!r}, not 'WKB'")
        return None
    if not isinstance(column.get("geometry_types"), list):
        complaints.add("geometry_types is not a list")
        column["geometry_types"] = []
    if column.get("orientation", "counterclockwise") != "counterclockwise":
        complaints.add("orientation is given and is not 'counterclockwise'")
    if column.get("edges", "planar") not in {"planar", "spherical"}:
        complaints.add("edges is neither 'planar' nor 'spherical'")
    _check_crs(column, complaints)
    _check_covering(file.schema_arrow, column, complaints)
    return {**column, "name": name}


def _check_crs(column: dict[str, Any], complaints: Findings) -> None:
    crs = column.get("crs")
    if crs is None:
        complaints.add(
            "crs is missing or null: the file does not state its coordinate reference system"
        )
        return
    try:
        CRS.from_json_dict(crs)
    except (CRSError, TypeError):
        complaints.add("crs is not PROJJSON")


def _check_covering(schema: pa.Schema, column: dict[str, Any], complaints: Findings) -> None:
    covering = column.get("covering", {}).get("bbox")
    if not isinstance(covering, dict):
        complaints.add("there is no bbox covering")
        return
    for corner in _CORNERS:
        way = covering.get(corner)
        if not (isinstance(way, list) and len(way) == 2 and way[1] == corner):
            complaints.add(f"covering.bbox.{corner} is not [column, '{corner}']")
            column.pop("covering", None)
            return
    name = covering["xmin"][0]
    kind = schema.field(name).type if name in schema.names else None
    fields = (
        {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        if (kind is not None and pa.types.is_struct(kind))
        else {}
    )
    if not all(corner in fields and pa.types.is_floating(fields[corner]) for corner in _CORNERS):
        complaints.add(f"the covering's column {name!r} is no struct of xmin, ymin, xmax, ymax")
        column.pop("covering", None)


def _check_rows(file: pq.ParquetFile, column: dict[str, Any], complaints: Findings) -> None:
    covering = column.get("covering", {}).get("bbox", {}).get("xmin", [None])[0]
    extent, start = Extent(), 0
    for batch in file.iter_batches(
        batch_size=20_000, columns=[column["name"], *([covering] if covering else [])]
    ):
        wkb = batch.column(column["name"])
        if wkb.null_count:
            complaints.add("has rows without geometry")
        there = wkb.drop_null().to_numpy(zero_copy_only=False)
        rows = start + np.flatnonzero(wkb.is_valid().to_numpy(zero_copy_only=False))
        shapes, rows = read_wkb(there, rows, complaints)
        check_polygons(shapes, rows, complaints)
        _check_types(shapes, rows, column["geometry_types"], complaints)
        bounds = shapely.bounds(shapes)
        extent.grow(bounds)
        if covering:
            boxes = batch.column(covering)
            sides = [boxes.field(corner).to_numpy(zero_copy_only=False) for corner in _CORNERS]
            given = np.column_stack(sides)
            short = not_within(bounds, given[rows - start])
            complaints.add_all("has a bbox that does not cover its geometry", rows[short])
        start += len(batch)
    told = column.get("bbox")
    if told is not None and (
        len(told) != 4 or not_within(extent.box[None], np.array([told], np.float64))[0]
    ):
        complaints.add("the file's bbox does not cover its geometries")


def _check_types(
    shapes: Shaped[np.ndarray, " n"],
    rows: Int64[np.ndarray, " n"],
    listed: list[str],
    complaints: Findings,
) -> None:
    names = [_TYPES.get(kind) for kind in shapely.get_type_id(shapes)]
    untold = np.array([name is not None and name not in listed for name in names], bool)
    if listed:
        complaints.add_all("has a type that geometry_types does not list", rows[untold])


def _check_reading(path: Path, complaints: Findings) -> None:
    """Read the rows of the first group's first bounding box, as a user of geopandas would."""
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            return
        first = next(file.iter_batches(batch_size=1)).to_pylist()[0]
    here = shapely.from_wkb(first["geometry"])
    try:
        found = geopandas.read_parquet(path, bbox=here.bounds)
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        complaints.add(f"geopandas cannot read it by bounding box: {error}")
        return
    if not found.geometry.geom_equals(here).any():
        complaints.add("geopandas, reading by bounding box, does not find the first polygon")
