"""From joined tiles to the outputs of a scene."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from pipeline.core.quantise import STEPS
from pipeline.core.redaction import redact_values
from pipeline.malloc import malloc_trim
from pipeline.mapping.finishing.stitch import Stitcher
from pipeline.mapping.planning.plan import ScenePlan, model_summary, versions
from pipeline.mapping.publish import ITEM, MANIFEST, json_digest, sha256
from pipeline.outputs.atomic import write_atomically, write_faults
from pipeline.outputs.catalogue.assets import asset
from pipeline.outputs.catalogue.stac import make_item
from pipeline.outputs.rasters.cog import write_cog
from pipeline.outputs.rasters.quicklook import View, quicklook
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.coco import write_coco
from pipeline.outputs.vectors.formats import file_name, writer
from pipeline.outputs.vectors.style import write_mask_style, write_polygon_style

TIGHT_BYTES = 1_500_000_000
"""A budget below which outputs are written one after another: at once, they take 0.2 GB more."""
BATCH = 20_000
MOST_DRAWN = 60_000


def write_outputs(
    plan: ScenePlan,
    joiner: Stitcher,
    *,
    failures: dict[int, str],
    warnings: tuple[str, ...],
    scratch: str,
) -> dict[str, Any]:
    """Write every output of a scene into its folder of unfinished ones.

    Returns:
        The manifest, as written to ``run.json``.

    Raises:
        ExportError: One could not be written.
    """
    final, work = plan.final, Path(scratch)
    with write_faults(final):
        shutil.rmtree(final, ignore_errors=True)
        final.mkdir(parents=True)
    malloc_trim()
    tight = plan.memory < TIGHT_BYTES
    with ThreadPoolExecutor(1 if tight else 3) as pool:
        cogs = [
            pool.submit(
                write_cog, work / f"{kind}.mosaic.tif", final / f"{kind}.tif", raster, threads=1
            )
            for kind, raster in joiner.rasters.items()
        ]
        if tight:
            wait(cogs)
        written = _polygons(plan, joiner)
        write_mask_style(final / "mask.qml", plan.provenance.classes)
        if plan.info.georef is not None:
            write_polygon_style(final / "polygons.qml", plan.provenance.classes)
        quicklook(final / "quicklook.png", view(plan, joiner))
        for cog in cogs:
            cog.result()
    manifest = _manifest(plan, joiner, written, failures) | {"warnings": redact_values(warnings)}
    item = make_item(
        sorted(final.iterdir()),
        plan.provenance,
        source=plan.info.source,
        version=version("overtile"),
    )
    # Each knows the other: the manifest the item without it, the item the manifest.
    manifest["item"] = json_digest(item)
    _write_json(final / MANIFEST, manifest)
    item["assets"]["run"] = asset(final / MANIFEST, plan.provenance)
    _write_json(final / ITEM, item)
    return manifest


def view(plan: ScenePlan, joiner: Stitcher) -> View:
    """Return the scene made small, and the polygons over it."""
    batch = next(iter(joiner.polygons.store.batches(MOST_DRAWN)), None)
    shapes = np.zeros(0, object) if batch is None else batch.geometry
    labels = np.zeros(0, np.int32) if batch is None else batch.label
    scale = 1 / plan.thumb_step
    drawn = shapely.transform(shapes, lambda points: points * scale)
    return View(
        rgb=joiner.thumb,
        mask=joiner.small_mask,
        polygons=drawn,
        labels=labels,
        classes=plan.provenance.classes,
    )


def _polygons(plan: ScenePlan, joiner: Stitcher) -> Written:
    """Write the polygons in each format; return the counts of the format that kept most."""
    writers = {file_name(name): writer(name) for name in plan.formats}
    if plan.info.georef is None:
        writers = {"polygons.coco.json": write_coco}
    written = []
    for name, write in writers.items():
        malloc_trim()
        batches = joiner.polygons.store.batches(BATCH)
        written.append(write(plan.final / name, batches, plan.provenance))
    malloc_trim()
    # Web Mercator ends before the poles, and degrees have seven decimals.
    return max(written, key=lambda one: one.features)


def _manifest(
    plan: ScenePlan, joiner: Stitcher, written: Written, failures: dict[int, str]
) -> dict[str, Any]:
    info, grid, card = plan.info, plan.grid, plan.card
    counts = joiner.counts
    classes = {known.name: int(counts[known.value]) for known in plan.provenance.classes}
    manifest: dict[str, Any] = {
        "overtile": version("overtile"),
        "plan": plan.digest,
        "scene": {
            "name": plan.name,
            "source": info.source,
            "fingerprint": info.fingerprint,
            "height": info.height,
            "width": info.width,
            "dtype": info.dtype,
            "bands": [band.name for band in info.bands if band.index in plan.bands]
            + ["alpha"] * (info.alpha in plan.bands),
            "datetime": info.datetime,
        },
        "task": plan.task,
        "settings": plan.settings,
        "model": model_summary(card, plan.model.sha256),
        "engine": plan.engine,
        "versions": versions(),
        "grid": {
            "core": grid.core,
            "halo": grid.halo,
            "stride": grid.stride,
            "tiles": len(grid),
            "tile_pixels_over_scene_pixels": round(
                grid.tile_pixels / (info.height * info.width), 4
            ),
        },
        "tiles_failed": [
            {"tile": index, "reason": reason} for index, reason in sorted(failures.items())
        ],
        "pixels": {"background": int(counts[0]), **classes, "nodata": int(counts[255])},
        "polygons": {"written": written.features, "dropped": written.dropped},
        "outputs": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(plan.final.iterdir())
        },
    }
    if card.context == "blend":
        manifest["seam_difference"] = seam_difference(joiner.spread)
    return manifest


def seam_difference(spread: np.ndarray) -> dict[str, float]:
    """Return how far overlapping tiles disagree: largest minus smallest probability.

    Args:
        spread: Pixels by how many quantised steps their tiles differ.
    """
    steps = np.arange(len(spread))
    total = max(1, int(spread.sum()))
    highest = int(steps[spread > 0].max(initial=0))
    return {
        "mean": round(float((steps * spread).sum()) / total / STEPS, 6),
        "max": round(highest / STEPS, 4),
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with write_atomically(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
