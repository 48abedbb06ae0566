"""A vector file read and cleaned: what `pipeline.labels.read` calls in a child process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from pipeline.labels.clean import clean_polygons
from pipeline.labels.formats.annotations import AnnotationCollector
from pipeline.labels.formats.columns import column, geometry_column
from pipeline.labels.formats.geojson import FeatureCollector
from pipeline.labels.json_text import read_members
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Count, Limits
from pipeline.labels.objects import Objects
from pipeline.labels.opened import HEAD_BYTES, VectorFile
from pipeline.labels.sniff import format_of
from pipeline.labels.vectors import Vectors, refusal
from pipeline.scenes.geotiff.georeferencing import non_terrestrial

GEOMETRY = "geometry"
"""Column of well-known binary."""
COLUMN = "column "
"""Begins the names of attribute columns."""
Answer = tuple[dict[str, Any], pa.Table]


def read(arguments: dict[str, Any], files: list[int]) -> Answer:
    """Read a vector file.

    Args:
        arguments: ``path``, for messages; ``beside``, suffixes of further files; ``what`` to
            return: ``vectors``, ``objects`` or ``area``; ``wanted`` attributes; ``layer`` and
            ``option``, as `Choice` has them; ``image`` of a COCO file; ``limits``; and
            ``folder``, an empty folder.
        files: Open files.

    Returns:
        Metadata of the geometries, and a table of them.

    Raises:
        ConfigError: It cannot be read, or holds no polygons.
    """
    file = VectorFile(
        path=Path(arguments["path"]),
        handle=files[0],
        size=os.fstat(files[0]).st_size,
        head=os.pread(files[0], HEAD_BYTES, 0),
        beside=dict(zip(arguments["beside"], files[1:], strict=True)),
    )
    if arguments["what"] == "vectors":
        return _answer_vectors(_vectors(file, arguments))
    objects = _objects(file, arguments)
    return _answer_objects(objects) if arguments["what"] == "objects" else _answer_area(objects)


def _vectors(file: VectorFile, arguments: Mapping[str, Any]) -> Vectors:
    found = _as_they_stand(file, arguments)
    if isinstance(found, Objects):
        raise refusal(file.path, "it is JSON, but not GeoJSON", "give a FeatureCollection")
    return found


def _objects(file: VectorFile, arguments: Mapping[str, Any]) -> Objects:
    found = _as_they_stand(file, arguments)
    return found if isinstance(found, Objects) else clean_polygons(found)


def _as_they_stand(file: VectorFile, arguments: Mapping[str, Any]) -> Vectors | Objects:
    """Return geometries as a file has them, or the objects of a COCO file."""
    kind = format_of(file)
    limits = Limits(**arguments["limits"])
    choice = LayerChoice(name=arguments["layer"], option=arguments["option"])
    wanted = tuple(arguments["wanted"])
    if kind in ("geojson", "parquet"):
        choice.refuse(file.path)
    if kind == "geojson":
        return _from_json(file, wanted=wanted, image=arguments["image"], limits=limits)
    count = Count(file.path, limits)
    if kind == "parquet":
        from pipeline.labels.formats.geoparquet import read_geoparquet

        found = read_geoparquet(file, wanted=wanted, count=count)
    elif kind == "gpkg":
        from pipeline.labels.formats.geopackage import read_geopackage

        found = read_geopackage(file, wanted=wanted, choice=choice, count=count)
    else:
        from pipeline.labels.formats.ogr import OgrReader

        reader = OgrReader(file, kind, Path(arguments["folder"]))
        found = reader.read(wanted=wanted, choice=choice, count=count)
    return _on_earth(file, found)


def _from_json(
    file: VectorFile, *, wanted: tuple[str, ...], image: str | None, limits: Limits
) -> Vectors | Objects:
    features = FeatureCollector(file.path, wanted=wanted, limits=limits)
    annotations = AnnotationCollector(Count(file.path, limits))
    take = {"features": features.add, "annotations": annotations.add}
    members = read_members(file, take, limits=limits)
    if "annotations" in members and "type" not in members:
        from pipeline.labels.formats.coco import read_coco  # with what traces masks

        return read_coco(file.path, members, annotations.found, image=image, limits=limits)
    return _on_earth(file, features.vectors(members))


def _on_earth(file: VectorFile, found: Vectors) -> Vectors:
    fault = "" if found.crs is None else non_terrestrial(found.crs)
    if fault:
        raise refusal(file.path, f"its {fault}", "reproject it to EPSG:4326")
    return found


def _answer_vectors(found: Vectors) -> Answer:
    columns, fields = [geometry_column(found.geometry)], [pa.field(GEOMETRY, pa.large_binary())]
    for name, values in found.columns.items():
        made, metadata = column(values)
        columns.append(made)
        fields.append(pa.field(f"{COLUMN}{name}", made.type, metadata=metadata))
    header = {"notes": found.notes, "crs": _srs(found), "fields": found.fields}
    return header, pa.table(columns, schema=pa.schema(fields))


def _answer_objects(found: Objects) -> Answer:
    columns = {GEOMETRY: geometry_column(found.polygon)}
    for name in ("label", "id", "confidence"):
        values = getattr(found, name)
        if values is not None:
            columns[name], _ = column(values.tolist())
    grid = None if found.grid is None else (found.grid.height, found.grid.width)
    return {"notes": found.notes, "crs": _srs(found), "grid": grid}, pa.table(columns)


def _answer_area(found: Objects) -> Answer:
    """Answer with the union of all polygons; an empty table where there is none."""
    union = np.array([shapely.union_all(found.polygon)] if len(found) else [], object)
    table = pa.table({GEOMETRY: geometry_column(union)})
    return {"notes": found.notes, "crs": _srs(found)}, table


def _srs(found: Vectors | Objects) -> str | None:
    return None if found.crs is None else str(found.crs.srs)
