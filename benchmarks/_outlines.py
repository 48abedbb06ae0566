"""Outlines along the pixels, from the shipped model or made, and what they should be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio.windows import Window as RioWindow
from scipy import ndimage

from pipeline.config import load_task
from pipeline.core.polygons.separate import separate, trace_instances
from pipeline.core.window import Window
from pipeline.mapping.outlines import outline_of
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.synthetic import settlement

Polygons = npt.NDArray[Any]
REACH = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """What was found in a scene, and what is there, in its pixels."""

    outlines: Polygons
    """Along the pixels' edges, in reading order of their first pixels."""
    truth: Polygons
    """As it should be."""
    pixel_size_m: float
    """Edge of a pixel on the ground."""


def made(*, seed: int, size: int, pixel_size_m: float) -> Outlines:
    """Return outlines as a network might draw them, and the roofs."""
    found = settlement(seed=seed, height=size, width=size, pixel_size_m=pixel_size_m)
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(size, size)), 1.5)
    soft = ndimage.gaussian_filter((found.instances > 0).astype(np.float64), 1.5)
    mask = (soft + 0.12 * noise / noise.std() > 0.5).astype(np.uint8)
    inside = ndimage.minimum_filter(found.instances, 5) == ndimage.maximum_filter(
        found.instances, 5
    )
    core = Window(row=0, col=0, height=size, width=size)
    instances, _ = separate(
        mask, inside & (found.instances > 0), core=core, scene=mask.shape, max_steps=REACH
    )
    outlines = trace_instances(instances, mask, mask, core=core).to_shapely()
    outlines = outlines[shapely.area(outlines) >= 40]
    return Outlines(
        outlines=outlines, truth=np.array(found.polygons, object), pixel_size_m=pixel_size_m
    )


def mapped(scene: Path, *, crop: int, folder: Path, outline: str = "pixels") -> Outlines:
    """Return what `map` finds, along the pixels if nothing is said, and the truth beside it.

    Args:
        scene: A GeoTIFF; ``NAME.geojson`` beside it, ``_z19`` and the like left out.
        crop: Edge of its middle, in pixels; the rest is left alone.
        folder: For what is written meanwhile.
        outline: ``pixels`` or ``subpixel``.
    """
    part = cropped(scene, crop=crop, folder=folder)
    task = folder / f"{outline}.yaml"
    stated = f"name: {outline}\nmodel: buildings\nmin_area_m2: 4\nshape: {{outline: {outline}}}\n"
    task.write_text(stated, "utf-8")
    out = folder / f"out-{outline}"
    request = MapRequest(scenes=(str(part),), out=out, task=str(task), executor="serial")
    map_scenes(request, report=lambda _: None)
    frame = geopandas.read_parquet(out / part.stem / "polygons.parquet")
    with rasterio.open(part) as file:
        to_pixels, frame_of = ~file.transform, shapely.box(0, 0, file.width, file.height)
    named = scene.with_name(re.sub(r"_z\d+$", "", scene.stem) + ".geojson")
    truth = geopandas.read_file(named).to_crs(frame.crs).explode()

    def onto(shapes: Polygons) -> Polygons:
        moved = shapely.transform(shapely.force_2d(shapes), lambda c: _through(to_pixels, c))
        return np.asarray(shapely.normalize(moved), object)

    shapes = onto(truth.geometry.to_numpy())
    shapes = shapes[shapely.is_valid(shapes) & shapely.within(shapes, frame_of)]
    info = open_scene(find_scenes((str(part),), {}).refs[0]).info
    usual = outline_of(load_task("buildings").shape, info)
    return Outlines(
        outlines=onto(frame.geometry.to_numpy()),
        truth=shapes,
        pixel_size_m=math.sqrt(math.prod(usual.pixel)),
    )


def cropped(scene: Path, *, crop: int, folder: Path) -> Path:
    """Write the middle of a scene, at most ``crop`` pixels wide and high."""
    path = folder / scene.name
    with rasterio.open(scene) as file:
        height, width = min(crop, file.height), min(crop, file.width)
        window = RioWindow((file.width - width) // 2, (file.height - height) // 2, width, height)
        profile = file.profile | {"height": height, "width": width, "tiled": True}
        profile |= {"transform": file.window_transform(window), "driver": "GTiff"}
        profile |= {"blockxsize": 256, "blockysize": 256, "compress": "deflate"}
        profile.pop("photometric", None)
        with rasterio.open(path, "w", **profile) as part:
            part.write(file.read(window=window))
            part.colorinterp = file.colorinterp
    return path


def _through(transform: Affine, coords: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a, b, c, d, e, f = transform[:6]
    x, y = coords[:, 0], coords[:, 1]
    return np.column_stack([a * x + b * y + c, d * x + e * y + f])
