"""Polygons as GeoParquet 1.1, in the scene's own reference system."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Shaped
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written, rebatched
from pipeline.outputs.vectors.table import ATTRIBUTES, GEOMETRY, attribute_columns

ROWS_PER_GROUP = 20_000
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
BBOX = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in _CORNERS])
_SCHEMA = pa.schema([*ATTRIBUTES, pa.field("bbox", BBOX, nullable=False), GEOMETRY])


def write_geoparquet(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons as GeoParquet 1.1 with a bbox column, in the order given.

    Geometries are WKB in the scene's reference system, outer rings counter-clockwise.
    Row groups hold 20,000 polygons that follow each other on the scene, so that readers
    skip most of the file when they ask for a bounding box.

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    georef = provenance.georef
    if georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    features = dropped = 0
    types: set[int] = set()
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with write_atomically(path, verify=verify_geo) as part, _writer(part) as writer:
        for batch in rebatched(batches, ROWS_PER_GROUP):
            shapes = to_crs_polygons(batch.geometry, georef)
            kept = ~shapely.is_empty(shapes)
            shapes = shapes[kept]
            features += len(shapes)
            dropped += int((~kept).sum())
            if not len(shapes):
                continue
            bounds = shapely.bounds(shapes)
            extent[:2] = np.minimum(extent[:2], bounds[:, :2].min(axis=0))
            extent[2:] = np.maximum(extent[2:], bounds[:, 2:].max(axis=0))
            types |= set(shapely.get_type_id(shapes).tolist())
            writer.write_table(_table(batch.take(kept), shapes, bounds, provenance))
        geo = geo_metadata(georef.crs, types=types, extent=extent if features else None)
        writer.add_key_value_metadata({"geo": geo})
    return Written(features=features, dropped=dropped)


def to_crs_polygons(polygons: Shaped[np.ndarray, " n"], georef: Georef) -> Shaped[np.ndarray, " n"]:
    """Return polygons in pixel coordinates as valid ones in coordinates of the scene's CRS."""
    shapes = shapely.orient_polygons(shapely.transform(polygons, georef.to_map))
    # Vertices that lie on another ring's edge may leave it by a last bit when the grid is rotated.
    for which in np.flatnonzero(~shapely.is_valid(shapes)).tolist():
        parts = shapely.get_parts(shapely.get_parts([shapely.make_valid(shapes[which])]))
        parts = parts[(shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0)]
        merged = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
        shapes[which] = shapely.orient_polygons(merged)
    oriented: Shaped[np.ndarray, " n"] = shapes
    return oriented


def _writer(path: Path) -> pq.ParquetWriter:
    # With an Arrow schema stored beside it, pyarrow would not show the geo metadata that is
    # known at the end only; Parquet's own types suffice.
    return pq.ParquetWriter(
        path, _SCHEMA, compression="zstd", compression_level=3, store_schema=False
    )


def _table(
    batch: Footprints,
    shapes: Shaped[np.ndarray, " n"],
    bounds: Shaped[np.ndarray, "n 4"],
    provenance: Provenance,
) -> pa.Table:
    values = attribute_columns(batch, provenance) | {
        "bbox": bbox_column(bounds),
        "geometry": shapely.to_wkb(shapes, byte_order=1),
    }
    return pa.table(values, schema=_SCHEMA)


def bbox_column(bounds: Shaped[np.ndarray, "n 4"]) -> pa.StructArray:
    """Return the boxes of polygons as the column ``bbox``."""
    sides = [pa.array(np.ascontiguousarray(bounds[:, side])) for side in range(4)]
    return pa.StructArray.from_arrays(sides, fields=list(BBOX))


def geo_metadata(crs: CRS, *, types: set[int], extent: Shaped[np.ndarray, " 4"] | None) -> str:
    """Return the ``geo`` metadata (GeoParquet 1.1.0, "Metadata") of columns geometry and bbox."""
    names = {
        shapely.GeometryType.POLYGON: "Polygon",
        shapely.GeometryType.MULTIPOLYGON: "MultiPolygon",
    }
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(names[shapely.GeometryType(kind)] for kind in types),
        "crs": crs.to_json_dict(),
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}},
    }
    if extent is not None:
        column["bbox"] = extent.tolist()
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return json.dumps(geo, separators=(",", ":"))


def verify_geo(part: Path) -> None:
    """Read a finished file's metadata back.

    Raises:
        ExportError: It lacks what makes it GeoParquet.
    """
    with pq.ParquetFile(part) as file:
        if b"geo" not in (file.metadata.metadata or {}):
            raise ExportError(f"{part} lacks its geo metadata; report this as a fault")
