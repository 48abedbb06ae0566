"""What a GPU gives beside the processor: how fast tiles are predicted, and how alike.

``python -m benchmarks.device SCENE.tif`` predicts the tiles of a scene, as `map` cuts them for
the shipped buildings model, on the processor and on a CUDA device, and compares them: the
largest difference of a probability, and pixels that fall on the other side of the threshold.
``--tiles 8`` takes the first eight.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._report import report
from benchmarks._scenes import planned
from pipeline.core.quantise import STEPS
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.tiles.predict import read_tile
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.registry import find

Tile = tuple[NDArray[Any], NDArray[np.bool_]]


def predicted(
    plan: ScenePlan, tiles: list[Tile], *, device: str
) -> tuple[float, list[NDArray[np.float32]]]:
    """Return seconds of a second pass over all tiles, and what they give."""
    path = find(plan.model.name)
    if path is None:
        raise SystemExit(f"{plan.model.name} has no weights")
    predictor = TorchPredictor(*load_checkpoint(path), device=device)
    for pixels, valid in tiles:  # what only the first pass costs
        predictor.predict(pixels, valid, plan.stretch)
    began = time.perf_counter()
    said = [predictor.predict(pixels, valid, plan.stretch) for pixels, valid in tiles]
    return time.perf_counter() - began, said


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("--tiles", type=int, default=8)
    asked = parser.parse_args()
    plan = planned(asked.scene)
    cores = list(plan.grid.cores())[: asked.tiles]
    tiles = [read_tile(plan, plan.grid.tile(core)) for core in cores]
    threshold = plan.threshold / STEPS
    pixels = sum(valid.size for _, valid in tiles)
    rows = []
    expected: list[NDArray[np.float32]] = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        seconds, said = predicted(plan, tiles, device=device)
        expected = expected or said
        pairs = list(zip(said, expected, strict=True))
        changed = [(one[0] >= threshold) != (other[0] >= threshold) for one, other in pairs]
        off = [abs(other[0] - threshold)[at] for (_, other), at in zip(pairs, changed, strict=True)]
        rows.append(
            {
                "device": device,
                "tiles": len(tiles),
                "mpx": pixels / 1e6,
                "mpx_per_s": pixels / 1e6 / seconds,
                "largest_dp": max(float(abs(one - other).max()) for one, other in pairs),
                "changed_px": sum(int(at.sum()) for at in changed),
                "farthest_from_threshold": max(
                    (float(each.max()) for each in off if each.size), default=0.0
                ),
            }
        )
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    report(f"device: {name}", rows)


if __name__ == "__main__":
    main()
