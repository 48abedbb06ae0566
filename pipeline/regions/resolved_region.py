"""A region in its place: the file, its folder, and what all its scenes have in common."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.config import Region, Task, load_region, load_task
from pipeline.config.region import resolve_path
from pipeline.errors import ConfigError
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import memory_limits
from pipeline.labels.read import read_area
from pipeline.mapping.planning.request import MapRequest, memory
from pipeline.models.registry import card_of, shipped

SCENES = "scenes"
LAYER = "layer.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRegion:
    """A region, resolved."""

    region: Region
    """Settings of its file."""
    root: Path
    """Folder that its paths start at."""
    out: Path
    """Folder for everything that is made."""
    area: BaseGeometry | None
    """Area of interest in longitude and latitude."""
    request: MapRequest
    """How its scenes are mapped; without the scenes."""
    task: Task
    """What is mapped."""
    parts: dict[str, str | None]
    """Digests of ``task``, ``model`` (weights) and ``area``."""
    settings: str
    """Digest of all three: what decides a scene's results, but for the scene."""
    ledger_url: str | None
    """Where the ledger is, if not in ``out``."""


def resolve_region(file: Path, *, root: Path | None = None) -> ResolvedRegion:
    """Return the region of a file; nothing is written, and no model loaded.

    Args:
        file: The region's YAML.
        root: Folder that its paths start at and stay in; the file's own if not given.

    Raises:
        ConfigError: The file, or one that it names, must be changed.
        ModelError: The model has no valid card.
    """
    region = load_region(file)
    base = (root or file.parent).resolve()
    if not base.is_dir():
        raise ConfigError(f"--root {base}: there is no such folder")
    out = resolve_path(base, region.out, field="out")
    area = None if region.aoi is None else _area(region, base)
    task_name = region.task
    if task_name.endswith((".yaml", ".yml")) or "/" in task_name:
        task_name = str(resolve_path(base, task_name, field="task"))
    model = region.model or load_task(task_name).model
    if model not in shipped():
        model = str(resolve_path(base, model, field="model"))
    request = MapRequest(
        scenes=(),
        out=out / SCENES,
        task=task_name,
        model=model,
        executor=region.compute.executor,
        device=region.compute.device,
        max_memory=memory(region.compute.max_memory),
        aoi=None if area is None else out / "aoi.geojson",
        keep_interior=True,
        nodata=region.nodata,
        formats=tuple(dict.fromkeys((*load_task(task_name).formats, "parquet"))),
    )
    task = request.chosen_task
    # Tasks that leave nodata as declared keep the digest that they had before there was a choice.
    left_out = {"model"} | ({"nodata"} if task.nodata == "declared" else set())
    about: dict[str, Any] = {
        "task": task.model_dump(mode="json", exclude=left_out),
        "model": card_of(task.model).sha256,
        "aoi": None if area is None else hashlib.sha256(shapely.to_wkb(area)).hexdigest(),
    }
    return ResolvedRegion(
        region=region,
        root=base,
        out=out,
        area=area,
        request=request,
        task=task,
        parts={
            "task": settings_digest(about["task"]),
            "model": str(about["model"]),
            "area": None if area is None else str(about["aoi"]),
        },
        settings=settings_digest(about),
        ledger_url=None if region.ledger_env is None else from_environment(region.ledger_env),
    )


def without_backoff(site: ResolvedRegion) -> ResolvedRegion:
    """Return the region with whatever failed due at once, however often it did."""
    policies = site.region.policies.model_copy(update={"retries": sys.maxsize, "backoff_s": 0.0})
    return replace(site, region=site.region.model_copy(update={"policies": policies}))


def settings_digest(value: Any) -> str:
    """Return the sha256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def from_environment(name: str) -> str:
    """Return an environment variable.

    Raises:
        ConfigError: It is not set.
    """
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set; the region's file names it")
    return value


def _area(region: Region, base: Path) -> BaseGeometry:
    if region.aoi is None or region.aoi.bbox is not None:
        return shapely.box(*(region.aoi.bbox if region.aoi and region.aoi.bbox else (0, 0, 0, 0)))
    path = resolve_path(base, str(region.aoi.file), field="aoi.file")
    limits = memory_limits(memory(region.compute.max_memory), option="compute.max_memory")
    choice = LayerChoice(name=region.aoi.layer, option="aoi.layer")
    found = read_area(path, choice=choice, limits=limits)
    area, crs = found.geometry, found.crs
    if area.is_empty:
        raise ConfigError(f"aoi.file: {path} holds no polygons; draw the area, or leave aoi out")
    if crs is None:
        raise ConfigError(f"aoi.file: {path} has no reference system; save it as GeoJSON")
    move = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    west, south, east, north = area.bounds
    # A straight edge of one system bends in another: a thousandth of the area at a time.
    area = (
        area
        if crs.is_geographic
        else shapely.segmentize(area, max(east - west, north - south) / 1000)
    )
    placed = shapely.transform(area, lambda p: np.column_stack(move.transform(p[:, 0], p[:, 1])))
    return shapely.normalize(shapely.make_valid(placed))
