"""From joined tiles to the outputs of a scene, which appear all at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from pipeline.core.quantise import STEPS
from pipeline.outputs.assets import KINDS, asset
from pipeline.outputs.atomic import replacing, write_faults
from pipeline.outputs.attributes import Written
from pipeline.outputs.coco import write_coco
from pipeline.outputs.formats import file_name, writer
from pipeline.outputs.mosaic import write_cog
from pipeline.outputs.quicklook import View, quicklook
from pipeline.outputs.stac import make_item
from pipeline.outputs.style import write_mask_style, write_polygon_style
from pipeline.runs.join import Joiner
from pipeline.runs.plan import ScenePlan, versions

BATCH = 20_000
MANIFEST = "run.json"
ITEM = "item.json"
MOST_DRAWN = 60_000


def write_outputs(
    plan: ScenePlan,
    joiner: Joiner,
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
    with ThreadPoolExecutor(3) as pool:
        cogs = [
            pool.submit(
                write_cog, work / f"{kind}.mosaic.tif", final / f"{kind}.tif", raster, threads=1
            )
            for kind, raster in joiner.rasters.items()
        ]
        written = _polygons(plan, joiner)
        write_mask_style(final / "mask.qml", plan.provenance.classes)
        if plan.info.georef is not None:
            write_polygon_style(final / "polygons.qml", plan.provenance.classes)
        quicklook(final / "quicklook.png", view(plan, joiner))
        for cog in cogs:
            cog.result()
    manifest = _manifest(plan, joiner, written, failures) | {"warnings": list(warnings)}
    item = make_item(
        sorted(final.iterdir()),
        plan.provenance,
        source=plan.info.source,
        version=version("overtile"),
    )
    # Each knows the other: the manifest the item without it, the item the manifest.
    manifest["item"] = _json_digest(item)
    _write_json(final / MANIFEST, manifest)
    item["assets"]["run"] = asset(final / MANIFEST, plan.provenance)
    _write_json(final / ITEM, item)
    return manifest


def publish(plan: ScenePlan, target: Path, log: list[dict[str, Any]]) -> None:
    """Make the outputs appear under their own name, all at once.

    What others put beside earlier outputs stays there.

    Raises:
        ExportError: The folder could not be renamed.
    """
    with write_faults(target):
        lines = "".join(json.dumps(entry) + "\n" for entry in log)
        (plan.final / "log.jsonl").write_text(lines, "utf-8")
        old = Path(plan.work) / "replaced"
        if old.exists() and not target.exists():
            old.rename(target)  # an earlier run was killed between the two renames below
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            _carry_over(target, plan.final)
            target.rename(old)
        plan.final.rename(target)
        handle = os.open(target.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        shutil.rmtree(old, ignore_errors=True)


def standing(target: Path) -> dict[str, Any] | None:
    """Return the manifest of outputs that are there, whole and unchanged; else None."""
    manifest = manifest_of(target)
    if manifest is None:
        return None
    for name, known in manifest.get("outputs", {}).items():
        path = target / name
        if not path.is_file() or sha256(path) != known["sha256"]:
            return None
    item = _read_json(target / ITEM)
    try:
        run = item["assets"].pop("run")
        vouched = run["file:checksum"].endswith(sha256(target / MANIFEST))
    except (KeyError, TypeError, AttributeError):
        return None
    return manifest if vouched and _json_digest(item) == manifest.get("item") else None


def manifest_of(target: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a folder; None where there is none that can be read."""
    return _read_json(target / MANIFEST) or None


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def view(plan: ScenePlan, joiner: Joiner) -> View:
    """Return the scene made small, and the polygons over it."""
    batch = next(iter(joiner.store.batches(MOST_DRAWN)), None)
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


def _polygons(plan: ScenePlan, joiner: Joiner) -> Written:
    """Write the polygons in each format; return what became of them where most was kept."""
    writers = {file_name(name): writer(name) for name in plan.formats}
    if plan.info.georef is None:
        writers = {"polygons.coco.json": write_coco}
    written = [
        write(plan.final / name, joiner.store.batches(BATCH), plan.provenance)
        for name, write in writers.items()
    ]
    # Web Mercator ends before the poles, and degrees have seven decimals.
    return max(written, key=lambda one: one.features)


def _manifest(
    plan: ScenePlan, joiner: Joiner, written: Written, failures: dict[int, str]
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
            "bands": [band.name for band in info.bands if band.index in plan.bands],
            "datetime": info.datetime,
        },
        "task": plan.task,
        "settings": plan.settings,
        "model": {
            "name": card.name,
            "sha256": plan.model.sha256,
            "network": card.network.architecture,
            "reach_px": card.network.reach,
            "stride": card.network.stride,
            "context": card.context,
            "license": card.terms.license,
            "use": card.terms.use,
        },
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


def _carry_over(target: Path, final: Path) -> None:
    """Copy what is no output of a run from an earlier folder into the new one."""
    for path in sorted(target.iterdir()):
        if path.name in KINDS or path.name in {ITEM, "log.jsonl"}:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, final / path.name, symlinks=True)
        else:
            shutil.copy2(path, final / path.name, follow_symlinks=False)


def _json_digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
