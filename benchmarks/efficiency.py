"""What everything around the network costs: wall time of `map` over bare forward passes.

``python -m benchmarks.efficiency SCENE.tif`` maps the scene with the shipped buildings
model as a user would (a process of its own, importing and reading included), then runs
the same engine over the same tiles in a bare loop, tile pixels already in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._report import peak_memory, report
from benchmarks._scenes import planned
from pipeline.mapping.tiles.predict import read_tile
from pipeline.models.registry import load_predictor


def mapped(scene: str, folder: Path) -> tuple[float, int, dict[str, float]]:
    """Return seconds, peak memory and the stages' seconds of `overtile map`."""
    command = [sys.executable, "-m", "pipeline.cli", "map", scene, "--out", str(folder)]
    began = time.monotonic()
    process = subprocess.Popen([*command, "--max-memory", "4GB"], stdout=subprocess.DEVNULL)
    with peak_memory(process.pid) as peak:
        if process.wait():
            raise SystemExit("overtile map failed")
    seconds = time.monotonic() - began
    stages: dict[str, float] = {}
    for log in folder.glob("*/log.jsonl"):
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            for stage, spent in entry.get("seconds", {}).items():
                stages[stage] = stages.get(stage, 0.0) + spent
            if entry.get("stage") == "scene":
                stages["outputs"] = entry["outputs_s"]
    return seconds, peak.bytes, stages


def bare(scene: str) -> tuple[float, int, int]:
    """Return seconds of forward passes alone, tile pixels and scene pixels."""
    plan = planned(scene)
    predictor = load_predictor(plan.model, device="cpu")
    seconds = 0.0
    for core in plan.grid.cores():
        pixels, valid = read_tile(plan, plan.grid.tile(core))
        began = time.monotonic()
        answer = predictor.predict(np.ascontiguousarray(pixels), valid, plan.stretch)
        seconds += time.monotonic() - began
        del answer
    return seconds, plan.grid.tile_pixels, plan.info.height * plan.info.width


def main(scene: str) -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        whole, memory, stages = mapped(scene, Path(folder))
    alone, tile_pixels, scene_pixels = bare(scene)
    row = {
        "scene": Path(scene).name,
        "map_s": whole,
        "bare_s": alone,
        "map_over_bare": whole / alone,
        "tile_over_scene_px": tile_pixels / scene_pixels,
        "scene_mpx_per_s": scene_pixels / 1e6 / whole,
        "peak_gb": memory / 1e9,
    }
    report("efficiency", [row])
    report("stages", [{"stage": name, "seconds": spent} for name, spent in stages.items()])


if __name__ == "__main__":
    main(sys.argv[1])
