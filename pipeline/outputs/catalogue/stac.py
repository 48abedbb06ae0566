"""The catalogue entry of a mapped scene: a STAC 1.1 Item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64

from pipeline.core.georef import Georef
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.catalogue.assets import KINDS, asset
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.lonlat import STEP, cut_at_antimeridian

EXTENSIONS = {
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
}
UNKNOWN_TIME = ("1900-01-01T00:00:00Z", "2199-12-31T23:59:59Z")
"""Start and end where the acquisition time is not known.

STAC wants an interval if ``datetime`` is null. This one means no more than "in the age
of imagery", holds for every search, and fits the 64-bit nanoseconds of table readers.
The item reports it in ``overtile:datetime_known``.
"""
_PER_SIDE = 16


def write_item(
    path: Path, files: Sequence[Path], provenance: Provenance, *, source: str, version: str
) -> None:
    """Write the STAC Item of a scene's outputs.

    Args:
        path: The item to be; assets are linked relative to its folder.
        files: Finished outputs in that folder, named as in `KINDS`.
        provenance: Scene, model, classes and grid.
        source: Path or URL of the scene, for the link ``derived_from``.
        version: Overtile's version.

    Raises:
        ExportError: The item could not be written.
        KeyError: A file is not named as in `KINDS`.
    """
    item = make_item(files, provenance, source=source, version=version)
    with write_atomically(path) as part:
        part.write_text(json.dumps(item, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def make_item(
    files: Sequence[Path], provenance: Provenance, *, source: str, version: str
) -> dict[str, Any]:
    """Return the STAC Item of a scene's outputs, ready to be written as JSON."""
    georef = provenance.georef
    place = {"geometry": None} if georef is None else _place(georef, provenance)
    used = set(EXTENSIONS) - ({"proj"} if georef is None else set())
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": sorted(EXTENSIONS[name] for name in used),
        "id": provenance.scene,
        **place,
        "properties": {
            **_time(provenance.datetime),
            "processing:software": {"Overtile": version},
            "processing:lineage": f"{provenance.scene} mapped with {provenance.model}",
            "overtile:model": provenance.model,
            "overtile:scene_fingerprint": provenance.fingerprint,
            **_grid(provenance),
        },
        "links": [{"rel": "derived_from", "href": source, "title": "The scene"}],
        "assets": {KINDS[file.name].key: asset(file, provenance) for file in files},
    }


def scene_outline(georef: Georef, *, height: int, width: int) -> Float64[np.ndarray, "n 2"]:
    """Return the outline of a scene in lon/lat, 16 points a side, closed."""
    steps = np.linspace(0, 1, _PER_SIDE, endpoint=False)
    along, back, still = steps, 1 - steps, np.zeros(_PER_SIDE)
    cols = np.concatenate([along, still + 1, back, still, [0]]) * width
    rows = np.concatenate([still, along, still + 1, back, [0]]) * height
    return georef.to_lonlat(np.column_stack([cols, rows]))


def _place(georef: Georef, provenance: Provenance) -> dict[str, Any]:
    """Return ``bbox`` and ``geometry``: the frame of the scene on the Earth.

    ``bbox`` runs from west to east, so that west is the greater where the scene crosses
    the antimeridian (RFC 7946, 5.2).
    """
    outline = scene_outline(georef, height=provenance.height, width=provenance.width)
    outline = outline[np.isfinite(outline).all(axis=1)]
    if len(outline) < 4:
        return {"geometry": None}
    if not np.array_equal(outline[0], outline[-1]):
        outline = np.vstack([outline, outline[:1]])
    shape = cut_at_antimeridian([outline])
    # Points that a straight line replaces to a hundred-thousandth of the scene tell nothing.
    west, south, east, north = shape.bounds
    shape = shapely.simplify(shape, 1e-5 * min(east - west, north - south))
    shape = shapely.orient_polygons(shapely.set_precision(shape, STEP))
    west, south, east, north = shape.bounds
    parts = shapely.get_parts(shape)
    if west == -180 and east == 180 and len(parts) > 1:
        sides = shapely.bounds(parts)
        west = float(sides[sides[:, 2] == 180, 0].min())
        east = float(sides[sides[:, 0] == -180, 2].max())
    rounded = json.loads(shapely.to_geojson(shape))
    return {
        "bbox": [round(side, 7) for side in (west, south, east, north)],
        "geometry": {"type": rounded["type"], "coordinates": _rounded(rounded["coordinates"])},
    }


def _rounded(value: Any) -> Any:
    return [_rounded(x) for x in value] if isinstance(value, list) else round(value, 7)


def _time(when: str | None) -> dict[str, Any]:
    if when is not None:
        return {"datetime": when}
    start, end = UNKNOWN_TIME
    return {
        "datetime": None,
        "start_datetime": start,
        "end_datetime": end,
        "overtile:datetime_known": False,
    }


def _grid(provenance: Provenance) -> dict[str, Any]:
    georef = provenance.georef
    if georef is None:
        return {}
    authority = georef.crs.to_authority(min_confidence=100)
    corners = georef.to_map(
        np.array([[c, r] for c in (0.0, provenance.width) for r in (0.0, provenance.height)])
    )
    return {
        "proj:code": ":".join(authority) if authority else None,
        **({} if authority else {"proj:wkt2": georef.crs.to_wkt()}),
        "proj:shape": [provenance.height, provenance.width],
        "proj:transform": [*georef.transform, 0.0, 0.0, 1.0],
        "proj:bbox": [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()],
    }
