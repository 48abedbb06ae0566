"""Polygons as vector tiles in one file, for maps in a browser."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from jaxtyping import Shaped

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons
from pipeline.outputs.vectors.ogr import OgrLayer, layer_name, write_ogr
from pipeline.outputs.vectors.pmtiles_header import HEADER, PMTilesHeader
from pipeline.outputs.vectors.table import Rows

ZOOMS = (10, 15)
"""From a district on the screen to 0.3 m a step: beyond, maps enlarge the last one."""
KEPT = ("id", "class", "confidence")
"""Attributes that tiles carry, each tile again."""
HIGHEST = 85.05
"""Latitude at which the world of Web Mercator ends, in degrees."""


def write_pmtiles(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons as Mapbox vector tiles of the zooms `ZOOMS` in a PMTiles 3 archive.

    Outlines are rounded to a 4096th of a tile: 0.3 m at zoom 15. Tiles of more than 500 kB,
    which low zooms of towns are, are rounded more, and lose what is smaller than a step then.
    Tiles wait in a file beside it, not in memory. (200,000 polygons: 145 s.)

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    if provenance.georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    rows = Rows(
        batches, provenance, place=partial(_in_mercator, georef=provenance.georef), names=KEPT
    )
    title = provenance.scene
    pmtiles_layer(path, rows, schema=rows.schema, title=title, about=provenance.model)
    return rows.written


def pmtiles_layer(
    path: Path, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema, title: str, about: str
) -> None:
    """Write any rows with polygons in longitude and latitude as WKB in ``geometry``.

    Args:
        path: The file to be.
        batches: Rows of ``schema``, within `HIGHEST` degrees of the equator.
        schema: Few plain columns and ``geometry``.
        title: Name of the map and of its layer.
        about: What the map shows.

    Raises:
        ExportError: The file could not be written.
    """
    options = {
        "NAME": title,
        "DESCRIPTION": about,
        "MINZOOM": str(ZOOMS[0]),
        "MAXZOOM": str(ZOOMS[1]),
    }
    waiting = (batch for batch in batches if len(batch))
    first = next(waiting, None)
    if first is None:
        _write_empty(path, title=title, about=about)
    else:
        layer = OgrLayer(name=layer_name(title), schema=schema, crs="OGC:CRS84", options=options)
        write_ogr(path, chain([first], waiting), layer)


def _write_empty(path: Path, *, title: str, about: str) -> None:
    """Write an archive without tiles, which GDAL refuses to: header, directory, metadata."""
    layers = [{"id": layer_name(title), "minzoom": ZOOMS[0], "maxzoom": ZOOMS[1], "fields": {}}]
    text = {"name": title, "description": about, "vector_layers": layers}
    directory = gzip.compress(b"\0", mtime=0)
    metadata = gzip.compress(json.dumps(text, separators=(",", ":")).encode(), mtime=0)
    header = PMTilesHeader(
        root_length=len(directory),
        metadata=HEADER.size + len(directory),
        metadata_length=len(metadata),
        leaves=HEADER.size + len(directory) + len(metadata),
        data=HEADER.size + len(directory) + len(metadata),
        min_zoom=ZOOMS[0],
        max_zoom=ZOOMS[1],
        center_zoom=ZOOMS[0],
    )
    with write_atomically(path) as part:
        part.write_bytes(HEADER.pack(*header) + directory + metadata)


def _in_mercator(polygons: Shaped[np.ndarray, " n"], georef: Georef) -> Shaped[np.ndarray, " n"]:
    """Return polygons in degrees, cut where Web Mercator ends."""
    shapes = to_lonlat_polygons(polygons, georef)
    bounds = shapely.bounds(shapes)
    beyond = (bounds[:, 1] < -HIGHEST) | (bounds[:, 3] > HIGHEST)
    world = shapely.box(-180, -HIGHEST, 180, HIGHEST)
    for which in np.flatnonzero(beyond).tolist():
        parts = shapely.get_parts(shapely.get_parts([shapely.intersection(shapes[which], world)]))
        shapes[which] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    return shapes
