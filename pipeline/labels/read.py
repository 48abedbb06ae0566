"""Objects of a file, whatever its format: polygons, COCO or a label raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from pipeline.labels.child_read import GEOMETRY
from pipeline.labels.formats.columns import decode_geometries
from pipeline.labels.layers import ANY, LayerChoice
from pipeline.labels.limits import DEFAULT, Limits
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.labels.read_vectors import VectorQuery, crs_of, read_in_child


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledArea:
    """The union of the polygons of a file."""

    geometry: BaseGeometry
    """Polygons; empty where there is none."""
    crs: CRS | None
    """What their coordinates mean; None for pixels ``(x=col, y=row)``."""


def read_objects(
    path: Path,
    *,
    choice: LayerChoice = ANY,
    image: str | None = None,
    limits: Limits = DEFAULT,
) -> Objects:
    """Return the polygons of a vector file, a COCO file or a label raster.

    Args:
        path: A local file.
        choice: Which layer, where a vector file has several.
        image: Which image, where a COCO file has several: its file name or stem.
        limits: What reading a vector file may take.

    Raises:
        ConfigError: The file cannot be read, takes more than its limits, or holds no polygons
            but other things.
        SceneError: It is a raster that cannot be read.
    """
    from pipeline.labels.formats.raster import is_raster, trace_label_raster

    if is_raster(path):
        choice.refuse(path)
        return trace_label_raster(path)
    header, table = read_in_child(
        path, VectorQuery(what="objects", choice=choice, image=image, limits=limits)
    )
    names = set(table.column_names)
    grid = header["grid"]
    return Objects(
        source=str(path),
        polygon=decode_geometries(table.column(GEOMETRY)),
        crs=crs_of(header),
        label=_texts(table, "label") if "label" in names else None,
        confidence=np.array(table.column("confidence").to_pylist(), np.float64)
        if "confidence" in names
        else None,
        id=_texts(table, "id") if "id" in names else None,
        grid=None if grid is None else PixelGrid(height=grid[0], width=grid[1], georef=None),
        notes=tuple(header["notes"]),
    )


def read_area(path: Path, *, choice: LayerChoice = ANY, limits: Limits = DEFAULT) -> LabelledArea:
    """Return the union of the polygons of a file.

    Raises:
        ConfigError: As `read_objects`.
        SceneError: It is a raster that cannot be read.
    """
    from pipeline.labels.formats.raster import is_raster, trace_label_raster

    if is_raster(path):
        choice.refuse(path)
        objects = trace_label_raster(path)
        return LabelledArea(geometry=shapely.union_all(objects.polygon), crs=objects.crs)
    header, table = read_in_child(path, VectorQuery(what="area", choice=choice, limits=limits))
    return LabelledArea(
        geometry=shapely.union_all(decode_geometries(table.column(GEOMETRY))), crs=crs_of(header)
    )


def _texts(table: pa.Table, name: str) -> Shaped[np.ndarray, " n"]:
    return np.array([*table.column(name).to_pylist(), None], object)[:-1]
