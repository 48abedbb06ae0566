"""Polygons as FlatGeobuf: one file with a spatial index, read piece by piece over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.geoparquet import to_crs_polygons
from pipeline.outputs.vectors.ogr import OgrLayer, layer_name, write_ogr
from pipeline.outputs.vectors.table import Rows


def write_flatgeobuf(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons in the scene's reference system, in the order of their spatial index.

    Memory: the boxes of all polygons, 100 MB a million, beside a batch of them.

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    if provenance.georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    rows = Rows(batches, provenance, place=partial(to_crs_polygons, georef=provenance.georef))
    crs, name = provenance.georef.crs.to_wkt(), layer_name(provenance.scene)
    flatgeobuf_layer(path, rows, schema=rows.schema, crs=crs, name=name)
    return rows.written


def flatgeobuf_layer(
    path: Path, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema, crs: str, name: str
) -> None:
    """Write any rows with polygons as WKB in ``geometry``.

    Args:
        path: The file to be.
        batches: Rows of ``schema``.
        schema: Plain columns and ``geometry``.
        crs: Reference system as WKT.
        name: Of the layer.

    Raises:
        ExportError: The file could not be written.
    """
    options = {"SPATIAL_INDEX": "YES", "TITLE": name}
    write_ogr(path, batches, OgrLayer(name=name, schema=schema, crs=crs, options=options))
