"""From finished blocks to the outputs of a volume, a slab of traces at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.core.block import Block, Three
from pipeline.core.quantise import NODATA, STEPS, classified
from pipeline.mapping.planning.plan import model_summary, versions
from pipeline.mapping.publish import MANIFEST, sha256
from pipeline.mapping.tiles.cached_tile import read_cached_tile
from pipeline.mapping.volume.plan import VolumePlan
from pipeline.outputs.atomic import write_atomically, write_faults
from pipeline.outputs.rasters.sections import VolumeSection, draw_sections
from pipeline.outputs.rasters.segy import NO_DATA, write_segy
from pipeline.scenes.seismic.volume import SegyVolume

LOG = "log.jsonl"


def write_volume_outputs(plan: VolumePlan, failures: dict[int, str]) -> dict[str, Any]:
    """Write every output of a volume into its folder of unfinished ones; return the manifest.

    Raises:
        SceneError: The volume cannot be read any more.
        ExportError: One could not be written.
    """
    final, source = plan.final, Path(plan.source)
    with write_faults(final):
        shutil.rmtree(final, ignore_errors=True)
        final.mkdir(parents=True)
    names = [known.name for known in plan.card.outputs.classes]
    text = ", ".join(f"{value} {name}" for value, name in enumerate(names, start=1))
    with SegyVolume(plan.source) as volume:
        turned = volume.turned
        counts = np.zeros(256, np.int64)
        note = f"Overtile, model {plan.card.name}: 0 background, {text}, {NO_DATA:g} no data"
        write_segy(final / "mask.sgy", source, _masks(plan, counts, turned=turned), note=note)
        for number, name in enumerate(names):
            file = "probability.sgy" if len(names) == 1 else f"probability_{name}.sgy"
            note = f"Overtile, model {plan.card.name}: probability of {name}, {NO_DATA:g} no data"
            chances = _chances(plan, number, turned=turned)
            write_segy(final / file, source, chances, note=note)
        draw_sections(final / "quicklook.png", list(_sections(plan, volume)))
    manifest = _manifest(plan, counts, failures)
    with write_atomically(final / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return manifest


def slabs(
    plan: VolumePlan, *, turned: bool
) -> Iterator[UInt8[np.ndarray, "classes lines traces samples"]]:
    """Yield quantised probabilities as the file is sorted, a row of cores at a time.

    Args:
        plan: The volume's.
        turned: Whether traces follow each other along crosslines.
    """
    slow = 1 if turned else 0
    for start, stop in pairwise(plan.grid.cuts(slow)):
        out = _probabilities(plan, _slice(plan.grid.shape, slow, start, stop))
        yield out.swapaxes(1, 2) if turned else out


def _slice(shape: Three, axis: int, start: int, stop: int) -> Block:
    """Return the part of a volume between two places of an axis."""
    (a, b), (c, d), (e, f) = (
        (start, stop) if at == axis else (0, length) for at, length in enumerate(shape)
    )
    return Block(start=(a, c, e), shape=(b - a, d - c, f - e))


def _probabilities(plan: VolumePlan, part: Block) -> UInt8[np.ndarray, "classes a b c"]:
    """Read the probabilities of a part of the volume; nodata where a block failed."""
    out = np.full((len(plan.card.outputs.classes), *part.shape), NODATA, np.uint8)
    for core in plan.grid.cores():
        shared = core.meeting(part)
        found = None if shared is None else read_cached_tile(plan.artefact(core))
        if shared is not None and found is not None:
            inner = found["probability"][(slice(None), *shared.within(core))]
            out[(slice(None), *shared.within(part))] = inner
    return out


def _masks(
    plan: VolumePlan, counts: np.ndarray, *, turned: bool
) -> Iterator[Float32[np.ndarray, "traces samples"]]:
    shares = plan.card.outputs.shares
    for slab in slabs(plan, turned=turned):
        for line in slab.swapaxes(0, 1):
            mask = classified(np.ascontiguousarray(line), threshold=plan.threshold, shares=shares)
            counts += np.bincount(mask.ravel(), minlength=256)
            yield np.where(mask == NODATA, np.float32(NO_DATA), mask.astype(np.float32))


def _chances(
    plan: VolumePlan, number: int, *, turned: bool
) -> Iterator[Float32[np.ndarray, "traces samples"]]:
    for slab in slabs(plan, turned=turned):
        for line in slab[number]:
            chance = line.astype(np.float32) / np.float32(STEPS)
            yield np.where(line == NODATA, np.float32(NO_DATA), chance)


def _sections(plan: VolumePlan, volume: SegyVolume) -> Iterator[VolumeSection]:
    """Yield the middle inline, crossline and sample of a volume, and what was found there."""
    colours = tuple(known.colour for known in plan.card.outputs.classes)
    for axis, title in enumerate(("inline", "crossline", "time slice")):
        middle = plan.grid.shape[axis] // 2
        part = _slice(plan.grid.shape, axis, middle, middle + 1)
        reported = np.ascontiguousarray(_probabilities(plan, part).squeeze(1 + axis))
        yield VolumeSection(
            title=f"the middle {title}",
            amplitude=volume.read(part).squeeze(axis).T,
            low=plan.stretch.low,
            high=plan.stretch.high,
            mask=classified(reported, threshold=plan.threshold, shares=plan.card.outputs.shares).T,
            colours=colours,
        )


def _manifest(plan: VolumePlan, counts: np.ndarray, failures: dict[int, str]) -> dict[str, Any]:
    card, grid = plan.card, plan.grid
    names = [known.name for known in card.outputs.classes]
    return {
        "overtile": version("overtile"),
        "plan": plan.digest,
        "volume": {
            "name": plan.name,
            "source": plan.source,
            "fingerprint": plan.fingerprint,
            "shape": list(grid.shape),
        },
        "task": plan.task,
        "settings": plan.settings,
        "model": model_summary(card, plan.model.sha256),
        "engine": plan.engine,
        "versions": versions(),
        "grid": {
            "core": list(grid.core),
            "halo": grid.halo,
            "tiles": len(grid),
            "tile_pixels_over_scene_pixels": round(grid.block_voxels / int(np.prod(grid.shape)), 4),
        },
        "tiles_failed": [
            {"tile": index, "reason": reason} for index, reason in sorted(failures.items())
        ],
        "voxels": {
            "background": int(counts[0]),
            **{name: int(counts[at]) for at, name in enumerate(names, start=1)},
            "nodata": int(counts[NODATA]),
        },
        "outputs": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(plan.final.iterdir())
        },
    }
