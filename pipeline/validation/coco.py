"""COCO: references, rings, boxes and areas that agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon

from pipeline.labels.json_stream import members
from pipeline.validation.complaints import Findings

_MILLI = 2e-3  # coordinates are written to a thousandth of a pixel


def check_coco(path: Path) -> list[str]:
    """Return what is wrong with COCO annotations; they are read one by one.

    Images and categories are expected before the annotations, as `write_coco` writes them.
    """
    complaints = Findings()
    head: dict[str, Any] = {}
    ids = set()
    count = 0
    try:
        for key, value in members(path, "annotations"):
            if key != "annotations":
                head[key] = value
                continue
            head[key] = True
            if value is None:
                continue
            if value.get("id") in ids:
                complaints.add("has an id that stands already", count)
            ids.add(value.get("id"))
            _check_annotation(count, value, head, complaints)
            count += 1
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        complaints.add(f"not readable as COCO: {error!r}")
    for key in ("images", "categories", "annotations"):
        if key not in head:
            complaints.add(f"there is no {key}")
    return complaints.lines()


def _check_annotation(
    at: int, annotation: dict[str, Any], head: dict[str, Any], complaints: Findings
) -> None:
    wanted = annotation.get("image_id")
    image = next((image for image in head.get("images", []) if image["id"] == wanted), None)
    if image is None:
        complaints.add("belongs to an image that is not listed", at)
        return
    wanted = annotation.get("category_id")
    if not any(known["id"] == wanted for known in head.get("categories", [])):
        complaints.add("belongs to a category that is not listed", at)
    if not 0 <= annotation.get("score", 0) <= 1:
        complaints.add("has a score outside 0..1", at)
    rings = annotation["segmentation"]
    if not rings or any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        complaints.add("has a ring of less than three points, or half a point", at)
        return
    shapes = shapely.make_valid([Polygon(np.reshape(ring, (-1, 2))) for ring in rings])
    west, south, east, north = shapely.total_bounds(shapes)
    if west < 0 or south < 0 or east > image["width"] or north > image["height"]:
        complaints.add("lies outside its image", at)
    told = np.array(annotation["bbox"])
    if np.abs(told - [west, south, east - west, north - south]).max() > _MILLI:
        complaints.add("has a bbox that is not its rings'", at)
    area = float(shapely.area(shapes).sum())
    if abs(area - annotation["area"]) > 0.01 + _MILLI * float(shapely.length(shapes).sum()):
        complaints.add("has an area that is not its rings'", at)
