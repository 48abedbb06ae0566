"""Layers written through pyogrio."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import shapely

from pipeline.errors import ExportError
from pipeline.gdal.vector_guard import pyogrio
from pipeline.outputs.atomic import write_atomically

_RESERVED = re.compile(r"(?i)(gpkg|sqlite|rtree|ogr)_.*|layer_styles|idx_.*")
"""Names of a GeoPackage's own tables."""
_DRIVERS = {
    ".fgb": "FlatGeobuf",
    ".gpkg": "GPKG",
    ".pmtiles": "PMTiles",
    ".shp": "ESRI Shapefile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OgrLayer:
    """A layer of MultiPolygons to be written."""

    name: str
    """The layer's name inside its file; see `layer_name`."""
    schema: pa.Schema
    """Columns, ``geometry`` among them: WKB of Polygons or MultiPolygons."""
    crs: str
    """Reference system as WKT or code."""
    options: Mapping[str, str]
    """Options of the driver, for the file and the layer."""


def layer_name(source: str) -> str:
    """Return the name of a scene's or region's layer: its own, unless a GeoPackage reserves it.

    Layers of several files then have different names where they are opened together.
    """
    return f"scene_{source}" if _RESERVED.fullmatch(source) else source


def write_ogr(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    layer: OgrLayer,
    *,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write a file of one layer of MultiPolygons, batch by batch; its suffix decides the format.

    One type of geometry a layer is what readers of these formats expect, so polygons are
    written as MultiPolygons of one part.

    Args:
        path: The file to be.
        batches: Rows of the layer's schema.
        layer: The layer.
        finish: What else is done to the file before it takes its name.

    Raises:
        ExportError: The driver could not write it.
    """
    with write_atomically(path) as part:
        # Drivers go by the suffix, or would make a folder.
        beside = part.with_name(part.name + path.suffix)
        write_driver_file(path, beside, batches, layer)
        beside.replace(part)
        if finish is not None:
            finish(part)


def write_driver_file(
    path: Path, file: Path, batches: Iterable[pa.RecordBatch], layer: OgrLayer
) -> None:
    """Write a layer as one file of a driver, which its suffix names.

    Args:
        path: What it becomes, for messages.
        file: Where it is written.
        batches: Rows of the layer's schema.
        layer: The layer.

    Raises:
        ExportError: The driver could not write it.
    """
    ogr, drawn = pyogrio(), _Drawn(batches)
    try:
        with warnings.catch_warnings():
            # Of crowded vector tiles, see `pipeline.outputs.vectors.pmtiles`: no action is needed.
            warnings.filterwarnings("ignore", "At least one tile exceeded", RuntimeWarning)
            ogr.raw.write_arrow(
                pa.RecordBatchReader.from_batches(layer.schema, drawn),
                file,
                layer=layer.name,
                driver=_DRIVERS[file.suffix],
                geometry_name="geometry",
                geometry_type="MultiPolygon",
                crs=layer.crs,
                **layer.options,
            )
    except (RuntimeError, ValueError, pa.ArrowException) as error:
        if drawn.fault is not None:
            raise drawn.fault from None
        raise ExportError(
            f"{path} could not be written: {error}; free space or grant rights, then run again"
        ) from error


class _Drawn:
    """Batches on their way into GDAL, and what was raised while they were made.

    An error inside an Arrow stream arrives on its other side as text.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.fault: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                yield _several(batch)
        except Exception as error:
            self.fault = error
            raise


def _several(batch: pa.RecordBatch) -> pa.RecordBatch:
    at = batch.schema.get_field_index("geometry")
    shapes = shapely.from_wkb(batch.column(at).to_numpy(zero_copy_only=False))
    parts, owner = shapely.get_parts(shapes, return_index=True)
    several = shapely.to_wkb(shapely.multipolygons(parts, indices=owner), byte_order=1)
    return batch.set_column(at, batch.schema.field(at), pa.array(several, pa.binary()))
