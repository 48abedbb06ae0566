"""Polygons of results: read without drivers of GDAL where that can be, joined, shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.api.extras import optional
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

LONLAT = "EPSG:4326"


def read_polygons(folder: Path, manifest: Mapping[str, Any]) -> GeoDataFrame:
    """Read the polygons of a scene: GeoParquet through pyarrow, or COCO of a scene in pixels.

    Args:
        folder: The scene's outputs.
        manifest: The content of its ``run.json``.

    Raises:
        ConfigError: There are none that can be read.
    """
    import geopandas as gpd

    if (path := folder / "polygons.parquet").is_file():
        return gpd.read_parquet(path)
    if (path := folder / "polygons.coco.json").is_file():
        return _from_coco(path)
    raise ConfigError(
        f"{folder} has no polygons.parquet: map it with formats=('parquet',); it was made with "
        f"{', '.join(manifest.get('formats', ())) or 'other formats'}"
    )


def _from_coco(path: Path) -> GeoDataFrame:
    """Read polygons in pixels: x = column, y = row; the first ring is the shell."""
    import geopandas as gpd
    import shapely

    found = json.loads(path.read_text("utf-8"))
    names = {one["id"]: one["name"] for one in found["categories"]}
    rows = found["annotations"]
    return gpd.GeoDataFrame(
        {
            "id": [row["id"] for row in rows],
            "class": [names[row["category_id"]] for row in rows],
            "confidence": [row.get("score") for row in rows],
        },
        geometry=[_polygon(row["segmentation"], shapely) for row in rows],
    )


def _polygon(rings: list[list[float]], shapely: Any) -> Any:
    shapes = [shapely.Polygon(list(zip(ring[::2], ring[1::2], strict=True))) for ring in rings]
    # COCO has no holes: a ring inside another one is a hole by the even-odd rule.
    found = shapes[0]
    for shape in shapes[1:]:
        found = shapely.symmetric_difference(found, shape)
    return found


def all_polygons(frames: Mapping[str, GeoDataFrame]) -> GeoDataFrame:
    """Join the polygons of scenes: in their CRS where it is one, else in `LONLAT`."""
    import geopandas as gpd
    import pandas as pd

    if not frames:
        return gpd.GeoDataFrame({"scene_name": []}, geometry=[])
    systems = {frame.crs for frame in frames.values()}
    if len(systems) > 1 and None in systems:
        raise ConfigError("some scenes are not georeferenced: take the polygons of each result")
    parts = [
        (frame if len(systems) == 1 else frame.to_crs(LONLAT)).assign(scene_name=name)
        for name, frame in frames.items()
    ]
    # Columns of empty frames have no type, which pandas warns of.
    filled = [part for part in parts if len(part)] or parts[:1]
    return gpd.GeoDataFrame(pd.concat(filled, ignore_index=True), crs=filled[0].crs)


def explore(polygons: GeoDataFrame, settings: Mapping[str, Any]) -> Any:
    """Show polygons on a folium map; no tiles are loaded from the network unless named.

    Raises:
        ConfigError: folium, mapclassify or matplotlib is missing.
    """
    for module in ("folium", "mapclassify", "matplotlib"):
        optional(module, purpose="explore()")
    return polygons.explore(**{"tiles": None, **settings})
