"""Polygons as a zipped Shapefile, within the limits of its format."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.geoparquet import to_crs_polygons
from pipeline.outputs.vectors.ogr import OgrLayer, layer_name, write_driver_file
from pipeline.outputs.vectors.style import polygon_style
from pipeline.outputs.vectors.table import Rows

SUFFIX = ".shp.zip"
PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
"""Files of a Shapefile, in the order in which they are stored."""
STYLE = ".qml"
LONGEST_NAME = 10
"""Characters of a field's name in dBase."""
SHORT_NAMES: Mapping[str, str] = {
    "perimeter_m": "perim_m",
    "regularised": "regular",
    "touches_scene_edge": "at_edge",
    "touches_aoi": "at_aoi",
    "touches_failure": "at_failure",
    "building_id": "bldg_id",
}
"""Shorter names of the attributes whose own are too long."""
MOST_BYTES = 2**31 - 1
"""Bytes of a ``.shp`` or ``.dbf`` that every reader can address."""
MOST_TEXT = 254
_DECIMALS = {"confidence": 4, "area_m2": 2, "perimeter_m": 2}
_NUMBER_BYTES, _TEXT_BYTES = 24, 80
_RECORD_BYTES, _PART_BYTES, _POINT_BYTES, _HEADER_BYTES = 52, 4, 16, 100
# The time of every member: the earliest that ZIP knows.
_PINNED = (1980, 1, 1, 0, 0, 0)
_OPTIONS = {
    "ENCODING": "UTF-8",
    "DBF_DATE_LAST_UPDATE": "1970-01-01",
    # Texts and whole numbers become as wide as the widest.
    "RESIZE": "YES",
}


def write_shapefile(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons in the scene's reference system, in the order given.

    Raises:
        ExportError: The file could not be written, would have more than 2 GB, or the scene is
            not georeferenced.
    """
    if provenance.georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    rows = Rows(batches, provenance, place=partial(to_crs_polygons, georef=provenance.georef))
    crs, style = provenance.georef.crs.to_wkt(), polygon_style(provenance.classes)
    name = layer_name(provenance.scene)
    shapefile_layer(path, rows, schema=rows.schema, crs=crs, name=name, style=style)
    return rows.written


def shapefile_layer(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    *,
    schema: pa.Schema,
    crs: str,
    name: str,
    style: str,
) -> None:
    """Write any rows with polygons as WKB in ``geometry``.

    Names of fields are cut to 10 characters (`SHORT_NAMES`), times are text as in GeoJSON, and
    texts end after 254 bytes.

    Args:
        path: The ZIP archive to be.
        batches: Rows of ``schema``.
        schema: Plain columns and ``geometry``.
        crs: Reference system as WKT.
        name: Of the layer, and of the files in the archive.
        style: QGIS style of the layer, as QML.

    Raises:
        ExportError: The file could not be written, or would have more than 2 GB.
    """
    stored = pa.schema([_field(field) for field in schema])
    layer = OgrLayer(name=name, schema=stored, crs=crs, options=_OPTIONS)
    with write_atomically(path) as part:
        shape = part.with_name(f"{part.name}{PARTS[0]}")
        write_driver_file(path, shape, _limited(path, batches, stored), layer)
        _zip(path, part, shape, name=name, style=style)


def short_name(name: str) -> str:
    """Return the name that a field has in a Shapefile."""
    return SHORT_NAMES.get(name, name[:LONGEST_NAME])


def _field(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_timestamp(kind):
        kind = pa.string()
    elif pa.types.is_float64(kind) and field.name in _DECIMALS:
        kind = pa.decimal128(18, _DECIMALS[field.name])
    name = field.name if field.name == "geometry" else short_name(field.name)
    return pa.field(name, kind, nullable=field.nullable)


def _limited(
    path: Path, batches: Iterable[pa.RecordBatch], stored: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield rows as a Shapefile stores them, as long as both of its files stay below 2 GB."""
    sizes = np.array([_HEADER_BYTES, 33 + 32 * len(stored)], np.int64)
    for batch in batches:
        columns = [
            _column(column, field.type) for column, field in zip(batch.columns, stored, strict=True)
        ]
        made = pa.record_batch(columns, schema=stored)
        sizes += _bytes_of(made)
        if sizes.max() > MOST_BYTES:
            raise ExportError(
                f"{path}: it would have more than {MOST_BYTES / 1e9:.1f} GB, which no Shapefile "
                "may have; choose gpkg, fgb or parquet instead"
            )
        yield made


def _column(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        return _moments(values)
    if pa.types.is_decimal(kind):
        return values.cast(kind, safe=False)
    if pa.types.is_string(kind) and pc.any(pc.greater(pc.binary_length(values), MOST_TEXT)).as_py():
        cut = [
            one and one.encode()[:MOST_TEXT].decode(errors="ignore") for one in values.to_pylist()
        ]
        return pa.array(cut, kind)
    return values


def _moments(values: pa.Array) -> pa.Array:
    """Return times as RFC 3339 in UTC, without empty fractions."""
    text = [
        one and one.isoformat(timespec="auto").replace("+00:00", "Z") for one in values.to_pylist()
    ]
    return pa.array(text, pa.string())


def _bytes_of(batch: pa.RecordBatch) -> np.ndarray:
    """Return the bytes that rows add to ``.shp`` and, before it is resized, to ``.dbf``."""
    shapes = shapely.from_wkb(batch["geometry"].to_numpy(zero_copy_only=False))
    rings = int(np.sum(shapely.get_num_interior_rings(shapely.get_parts(shapes)) + 1))
    points = int(shapely.get_num_coordinates(shapes).sum())
    width = 1
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_string(field.type):
            longest = pc.max(pc.binary_length(column)).as_py() or 0
            width += max(_TEXT_BYTES, longest)
        elif field.name != "geometry":
            width += _NUMBER_BYTES
    count = len(batch)
    return np.array(
        [_RECORD_BYTES * count + _PART_BYTES * rings + _POINT_BYTES * points, width * count],
        np.int64,
    )


def _zip(path: Path, part: Path, shape: Path, *, name: str, style: str) -> None:
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in PARTS:
            file = shape.with_suffix(suffix)
            if not file.is_file():
                reason = "its reference system has no form in a Shapefile (.prj)"
                raise ExportError(f"{path}: {reason}; choose gpkg, fgb or parquet instead")
            with file.open("rb") as source, archive.open(_member(name + suffix), "w") as target:
                while chunk := source.read(2**20):
                    target.write(chunk)
            file.unlink()
        archive.writestr(_member(name + STYLE), style)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _PINNED)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system, member.external_attr = 3, 0o100644 << 16
    return member
