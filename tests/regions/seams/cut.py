"""Scenes cut into pieces, mapped, and their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine

from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.outputs.rasters.coverage import coverage
from pipeline.regions.layer.layer import LayerScene, LayerSummary, build_layer
from tests.mapping.scenery import NORTH_UP, UTM, write_scene


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A scene to be mapped."""

    pixels: np.ndarray
    """(bands, rows, cols)."""
    transform: Affine = NORTH_UP
    crs: str = UTM
    datetime: str | None = None
    nodata: float | None = None


def piece(pixels: np.ndarray, row: int, col: int, height: int, width: int, **more: Any) -> Scene:
    """Return a window of an array, (bands, rows, cols), as a scene in its place."""
    return Scene(
        pixels=pixels[:, row : row + height, col : col + width],
        transform=NORTH_UP @ Affine.translation(col, row),
        **more,
    )


def mapped(folder: Path, scenes: Sequence[Scene], **settings: Any) -> list[LayerScene]:
    """Map scenes as a region does; return what a layer takes in."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for at, scene in enumerate(scenes):
        path = write_scene(
            folder / f"s{at}.tif",
            scene.pixels,
            transform=scene.transform,
            crs=scene.crs,
            nodata=scene.nodata,
        )
        chosen: dict[str, Any] = {"task": "bright", "executor": "serial", "device": "cpu"}
        request = MapRequest(
            scenes=(str(path),),
            out=folder / "out",
            formats=("parquet",),
            keep_interior=True,
            **(chosen | settings),
        )
        (row,) = map_scenes(request, report=lambda _: None)["scenes"]
        assert row["state"] == "done", row
        results = Path(row["folder"])
        found.append(
            LayerScene(
                key=f"s{at}",
                parquet=results / "polygons.parquet",
                coverage=coverage(results / "mask.tif").wkb,
                datetime=scene.datetime,
            )
        )
    return found


def layer(
    folder: Path, scenes: Sequence[LayerScene], **settings: Any
) -> tuple[geopandas.GeoDataFrame, LayerSummary]:
    """Return the layer of scenes; each footprint is accounted for."""
    out = folder / "layer.parquet"
    chosen: dict[str, Any] = {"previous": None, "policy": "newest"} | settings
    summary = build_layer(scenes, out=out, **chosen)
    assert summary.given == summary.footprints + summary.united + summary.removed + summary.lost
    return geopandas.read_parquet(out), summary


def told(found: geopandas.GeoDataFrame) -> list[tuple[object, ...]]:
    """Return what a layer says of each building, but for which scene shows it."""
    shapes = shapely.to_wkb(shapely.normalize(found.geometry.to_numpy()))
    columns = ("class", "confidence", "area_m2", "n_obs", "touches_scene_edge", "touches_failure")
    values = [found[name].tolist() for name in columns]
    return sorted(zip(shapes.tolist(), *values, strict=True))


def pieces(length: int, cuts: Sequence[int], overlap: int) -> list[tuple[int, int]]:
    """Return starts and lengths of pieces that overlap by so many pixels."""
    starts = [0, *(cut - overlap // 2 for cut in cuts)]
    ends = [*(cut + overlap - overlap // 2 for cut in cuts), length]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]
