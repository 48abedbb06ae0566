"""Polygons in pixels as COCO, for scenes that are not georeferenced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written, polygon_columns


def write_coco(path: Path, batches: Iterable[Footprints], provenance: Provenance) -> Written:
    """Write polygons as COCO annotations of one image, in the order given.

    ``segmentation`` lists outer rings in pixel corners ``x, y, ...``. COCO knows no
    holes, but takes several rings for one object: a polygon with holes is cut along
    rows of pixel corners into pieces without any, which together are the polygon.
    ``area`` is in pixels, ``bbox`` is ``[x, y, width, height]``, ``score`` the confidence.

    Raises:
        ExportError: The file could not be written.
    """
    head = {
        "info": {"description": f"{provenance.scene} mapped with {provenance.model}"},
        "images": [
            {
                "id": 1,
                "file_name": provenance.scene,
                "width": provenance.width,
                "height": provenance.height,
            }
        ],
        "categories": [{"id": known.value, "name": known.name} for known in provenance.classes],
    }
    features = 0
    with write_atomically(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_json(head)[:-1] + ',"annotations":[')
        for batch in batches:
            for annotation in _annotations(batch, provenance):
                features += 1
                file.write(",\n" if features > 1 else "\n")
                file.write(_json({"id": features, "image_id": 1, **annotation}))
        file.write("\n]}\n")
    return Written(features=features)


def split_at_holes(polygon: Polygon) -> list[Polygon]:
    """Return polygons without holes that together are ``polygon`` and share no pixel.

    Cut in two at a row of pixel corners through the hole in the middle, and on: as
    many rounds as the logarithm of the number of holes.
    """
    if not polygon.interiors:
        return [polygon]
    holes = sorted((ring.bounds for ring in polygon.interiors), key=lambda b: b[1] + b[3])
    _, top, _, bottom = holes[len(holes) // 2]
    west, north, east, south = polygon.bounds
    middle = np.rint((top + bottom) / 2)
    cut = middle if top < middle < bottom else (top + bottom) / 2
    halves = [box(west, north, east, cut), box(west, cut, east, south)]
    parts = shapely.get_parts(shapely.get_parts(shapely.intersection(polygon, halves)))
    return [
        piece
        for part in parts.tolist()
        if part.geom_type == "Polygon"
        for piece in split_at_holes(part)
    ]


def _annotations(batch: Footprints, provenance: Provenance) -> Iterator[dict[str, Any]]:
    table = polygon_columns(batch, provenance)
    numbers = {key: list(table.numbers[key]) for key in table.numbers if key != "area_m2"}
    scores = numbers.pop("confidence")
    areas = np.round(shapely.area(batch.geometry), 2).tolist()
    bounds = shapely.bounds(batch.geometry).tolist()
    for at, polygon in enumerate(batch.geometry.tolist()):
        west, north, east, south = bounds[at]
        yield {
            "category_id": int(batch.label[at]),
            "segmentation": [_flat(piece) for piece in split_at_holes(polygon)],
            "area": areas[at],
            "bbox": [round(x, 3) for x in (west, north, east - west, south - north)],
            "iscrowd": 0,
            "score": scores[at],
            "uid": table.id[at],
            **{key: numbers[key][at] for key in numbers},
            **{key: table.flags[key][at] for key in table.flags},
        }


def _flat(polygon: Polygon) -> list[float]:
    """Return the outer ring as ``x, y, x, y, ...``, its first point not repeated."""
    points = shapely.get_coordinates(polygon.exterior)[:-1]
    flat: list[float] = np.round(points, 3).ravel().tolist()
    return flat


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
