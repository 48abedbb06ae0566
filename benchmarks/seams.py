"""Seams: how far the stitched scene is from one forward pass over the whole of it.

``python -m benchmarks.seams SCENE.tif`` takes a crop of the scene through `map`'s own
tile code with several tile sizes, with the shipped buildings model and with a U-Net on a
ResNet-34 encoder (untrained weights: seams do not care), and compares every probability
with one pass over the whole crop, mirrored past its edges by the same halo.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._report import report
from pipeline.core.window import Window
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.tiles.predict import core_probabilities
from pipeline.models.card import ModelCard, Network
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.networks import build
from pipeline.models.receptive_field import rf_radius
from pipeline.models.registry import ModelRef, card_of
from pipeline.scenes.find import find_scenes
from pipeline.scenes.memory import MemoryScene
from pipeline.scenes.open import open_scene

CROP = 1024


def resnet(folder: Path) -> Path:
    """Write a checkpoint of a ResNet-34 U-Net with seeded weights; return its path."""
    torch.manual_seed(0)
    network = Network(
        architecture="smp_unet",
        arguments={"encoder_name": "resnet34", "in_channels": 3, "classes": 1},
        stride=32,
        rf_radius=0,
    )
    module = build(network.architecture, network.arguments)
    for name, statistic in module.named_buffers():
        if name.endswith("running_mean"):
            statistic.normal_(0, 0.1)
        elif name.endswith("running_var"):
            statistic.uniform_(0.5, 1.5)
    found = rf_radius(module, in_channels=3, stride=32, limit=800)
    shipped = card_of("buildings")
    card = ModelCard(
        name="resnet34",
        network=network.model_copy(update={"rf_radius": found}),
        inputs=shipped.inputs,
        outputs=shipped.outputs.model_copy(update={"separating": ()}),
        terms=shipped.terms,
    )
    path = folder / "resnet34.safetensors"
    save_checkpoint(path, module.state_dict(), card)
    return path


def stitched(plan: ScenePlan, core: int, halo: int) -> np.ndarray:
    """Return float32 probabilities of the whole scene, tile by tile."""
    grid = replace(plan.grid, core=core, halo=halo)
    plan = replace(plan, grid=grid)
    whole = np.empty((len(plan.card.outputs.classes), grid.height, grid.width), np.float32)
    for window in grid.cores():
        rows, cols = window.within(Window(row=0, col=0, height=grid.height, width=grid.width))
        whole[:, rows, cols] = core_probabilities(plan, window)
    return whole


def rows_of(name: str, model: str, crop: MemoryScene, folder: Path) -> list[dict[str, Any]]:
    """Return how far each tile size, and each smaller halo, is from one pass."""
    request = MapRequest(scenes=("memory",), out=folder, model=model)
    ref = crop.keep()
    plan = plan_scene(request, request.chosen_task, ref, "crop").ready(("cpu", ""), folder)
    plan = replace(plan, model=ModelRef(name=model, sha256=plan.card.sha256))
    stride, halo = plan.grid.stride, plan.grid.halo
    whole_core = -(-CROP // stride) * stride
    reference = stitched(plan, whole_core, halo)
    found: list[dict[str, Any]] = []
    for core, margin in ((512, halo), (256, halo), (512, halo // 2), (512, 32)):
        margin = margin // stride * stride
        began = time.monotonic()
        difference = np.abs(stitched(plan, core, margin) - reference)
        found.append(
            {
                "model": name,
                "rf_radius": plan.card.network.rf_radius,
                "core": core,
                "halo": margin,
                "max_dp": float(difference.max()),
                "mean_dp": float(difference.mean()),
                "seconds": time.monotonic() - began,
            }
        )
    return found


def main(path: str) -> None:
    """Measure and report."""
    install_guard()
    opened = open_scene(find_scenes([path]).refs[0])
    info = opened.info
    size = min(CROP, info.height, info.width)
    window = Window(
        row=(info.height - size) // 2, col=(info.width - size) // 2, height=size, width=size
    )
    pixels, valid = opened.read(window, tuple(band.index for band in info.bands[:3]))
    crop = MemoryScene(pixels, valid=valid, georef=info.georef, name="crop")
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of("buildings", "buildings", crop, Path(folder))
        rows += rows_of("resnet34", str(resnet(Path(folder))), crop, Path(folder))
    report("seams", rows)


if __name__ == "__main__":
    main(sys.argv[1])
