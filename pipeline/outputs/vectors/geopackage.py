"""Polygons as GeoPackage, with a spatial index and the style that QGIS shows them in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.gdal.settings import PINNED_TIME
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.geoparquet import to_crs_polygons
from pipeline.outputs.vectors.ogr import OgrLayer, layer_name, write_ogr
from pipeline.outputs.vectors.style import polygon_style
from pipeline.outputs.vectors.table import Rows

# As QGIS makes it when a style is saved into a GeoPackage.
_STYLES = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
  f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
  styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
  owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)"""


def write_geopackage(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons in the scene's reference system, in the order given.

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    if provenance.georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    rows = Rows(batches, provenance, place=partial(to_crs_polygons, georef=provenance.georef))
    crs, style = provenance.georef.crs.to_wkt(), polygon_style(provenance.classes)
    name = layer_name(provenance.scene)
    geopackage_layer(path, rows, schema=rows.schema, crs=crs, name=name, style=style)
    return rows.written


def geopackage_layer(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    *,
    schema: pa.Schema,
    crs: str,
    name: str,
    style: str,
) -> None:
    """Write any rows with polygons as WKB in ``geometry``.

    Args:
        path: The file to be.
        batches: Rows of ``schema``.
        schema: Plain columns and ``geometry``.
        crs: Reference system as WKT.
        name: Of the layer.
        style: QGIS style of the layer, as QML.

    Raises:
        ExportError: The file could not be written.
    """
    options = {"SPATIAL_INDEX": "YES", "VERSION": "1.4"}
    add_style = partial(_add_style, name=name, style=style)
    layer = OgrLayer(name=name, schema=schema, crs=crs, options=options)
    write_ogr(path, batches, layer, finish=add_style)


def _add_style(part: Path, *, name: str, style: str) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as database:
        # No journal beside the temporary name: what is half-written is never read.
        database.execute("PRAGMA journal_mode=MEMORY")
        database.execute("BEGIN")
        database.execute(_STYLES)
        database.execute(
            "INSERT INTO layer_styles VALUES (1, '', '', ?, 'geom', ?, ?, NULL, 1, ?, '', NULL, ?)",
            (name, name, style, "Classes in their colours", PINNED_TIME),
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description,"
            " last_change) VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?)",
            (PINNED_TIME,),
        )
        database.execute("COMMIT")
