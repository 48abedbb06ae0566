"""Polygons as GeoJSON (RFC 7946), whole or one feature a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Shaped

from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Columns, Written, polygon_columns
from pipeline.outputs.vectors.lonlat import rounded_lonlat, to_lonlat_polygons
from pipeline.outputs.vectors.ogr import layer_name


def write_geojson(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons as one FeatureCollection, a feature a line, in the order given.

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    name = json.dumps(layer_name(provenance.scene))
    frame = f'{{"type":"FeatureCollection","name":{name},"features":[', "\n]}\n"
    return _write(path, batches, provenance, frame=frame)


def write_geojsonl(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons as newline-delimited GeoJSON: each line one Feature.

    Raises:
        ExportError: The file could not be written, or the scene is not georeferenced.
    """
    return _write(path, batches, provenance, frame=None)


def _write(
    path: Path,
    batches: Iterable[Footprints],
    provenance: Provenance,
    *,
    frame: tuple[str, str] | None,
) -> Written:
    if provenance.georef is None:
        raise ExportError(f"{path}: the scene has no CRS; write its polygons as COCO instead")
    features = given = 0
    with write_atomically(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        if frame:
            file.write(frame[0])
        for batch in batches:
            given += len(batch)
            for feature in _features(batch, provenance):
                if frame:
                    file.write(",\n" if features else "\n")
                file.write(feature)
                if not frame:
                    file.write("\n")
                features += 1
        if frame:
            file.write(frame[1])
    return Written(features=features, dropped=given - features)


def _features(batch: Footprints, provenance: Provenance) -> Iterator[str]:
    if provenance.georef is None or not len(batch):
        return
    geometry = to_lonlat_polygons(batch.geometry, provenance.georef)
    kept = ~shapely.is_empty(geometry)
    batch, geometry = batch.take(kept), geometry[kept]
    for properties, shape in zip(
        _properties(polygon_columns(batch, provenance), provenance),
        shapely.to_geojson(geometry).tolist(),  # has seven decimals already
        strict=True,
    ):
        yield f'{{"type":"Feature",{properties},"geometry":{shape}}}'


def _properties(table: Columns, provenance: Provenance) -> Iterator[str]:
    """Yield ``"id":...,"properties":{...}`` of each feature."""
    known = {"scene": provenance.scene, "datetime": provenance.datetime, "model": provenance.model}
    same = json.dumps(
        {key: value for key, value in known.items() if value is not None}, separators=(",", ":")
    )[1:-1]
    labels = {label: json.dumps(label) for label in set(table.label)}
    numbers = [f'"{name}":%r' for name in table.numbers]
    flags = [f'"{name}":%s' for name in table.flags]
    template = '"id":"%s","properties":{"id":"%s","class":%s,' + ",".join(
        [*numbers, "SAME", *flags]
    ).replace("SAME", same.replace("%", "%%"))
    words = [["true" if value else "false" for value in flag] for flag in table.flags.values()]
    rows = zip(table.id, table.id, (labels[x] for x in table.label), strict=True)
    for row, *rest in zip(rows, *table.numbers.values(), *words, strict=True):
        yield template % (*row, *rest) + "}"


def geojson_geometries(shapes: Shaped[np.ndarray, " n"]) -> Iterator[str]:
    """Yield polygons as GeoJSON geometries with at most seven decimals.

    Args:
        shapes: Polygons and MultiPolygons in degrees, none of them empty.
    """
    yield from shapely.to_geojson(shapely.transform(shapes, rounded_lonlat)).tolist()
