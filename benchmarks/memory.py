"""Memory: does a scene 16 times as large take more of it?

``python -m benchmarks.memory`` makes two scenes of speckled blocks on the fly, of
10,000 x 10,000 and 40,000 x 40,000 pixels, maps both with the threshold model, and
compares the largest resident memory of the process tree.

``python -m benchmarks.memory 10000 95000 0.9`` chooses the sizes, and a budget in GB that
``--max-memory`` names and a cgroup enforces: whoever takes more is killed. Needs root.

``python -m benchmarks.memory sixteen 38730 0.9`` does that to a scene of three 16-bit bands,
here ten times as large as the budget; ``python -m benchmarks.memory town 3072 1.8`` to a made
dense town, mapped with the buildings model, whose touching houses are told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from benchmarks._report import peak_memory, report
from pipeline.synthetic import settlement
from tests.cgroup import at_most

PROFILE: dict[str, Any] = {
    "driver": "GTiff",
    "dtype": "uint8",
    "crs": "EPSG:32645",
    "transform": from_origin(350_000, 3_060_000, 0.3, 0.3),
    "tiled": True,
    "blockxsize": 512,
    "blockysize": 512,
    "compress": "DEFLATE",
    "zlevel": 1,
    "bigtiff": "IF_SAFER",
}


def make(path: Path, size: int, *, sixteen: bool = False) -> None:
    """Write a scene of bright rectangles on dark ground, block by block.

    Args:
        path: A GeoTIFF to be.
        size: Rows and columns.
        sixteen: Whether in three bands of 16 bits, instead of a gray one of 8.
    """
    edge = 1024
    profile = PROFILE | {"height": size, "width": size, "count": 1}
    if sixteen:
        profile |= {"count": 3, "dtype": "uint16", "photometric": "RGB"}
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, size, edge):
            for col in range(0, size, edge):
                rng = np.random.default_rng([row, col])
                block = rng.integers(20, 60, (edge, edge), np.uint8)
                for top, left, tall, wide in rng.integers(0, edge, (120, 4)).tolist():
                    block[top : top + 12 + tall // 25, left : left + 12 + wide // 25] = 220
                tall, wide = min(edge, size - row), min(edge, size - col)
                pixels = block[None, :tall, :wide]
                if sixteen:
                    pixels = pixels.repeat(3, axis=0).astype(np.uint16) * 40
                out.write(pixels, window=Window(col, row, wide, tall))


def make_town(path: Path, size: int) -> None:
    """Write a colour scene of terraced houses: four made towns of 1024 pixels, over and over."""
    edge = 1024
    towns = [
        settlement(seed=seed, height=edge, width=edge, pixel_size_m=0.3, style="town").image
        for seed in range(4)
    ]
    profile = PROFILE | {"height": size, "width": size, "count": 3, "photometric": "RGB"}
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, size, edge):
            for col in range(0, size, edge):
                town = towns[(row // edge * 2 + col // edge) % 4]
                tall, wide = min(edge, size - row), min(edge, size - col)
                out.write(town[:, :tall, :wide], window=Window(col, row, wide, tall))


def mapped(scene: Path, *, task: str, budget_gb: float, held: bool) -> dict[str, Any]:
    """Map a scene; return time and memory, and what the run says of itself.

    Args:
        scene: The scene; its outputs come beside it.
        task: How it is mapped.
        budget_gb: What ``--max-memory`` names.
        held: Whether a cgroup enforces it.
    """
    command = [sys.executable, "-m", "pipeline.cli", "map", str(scene), "--task", task]
    command += ["--out", str(scene.parent), "--max-memory", f"{budget_gb}GB"]
    limits: AbstractContextManager[Callable[[], None] | None] = nullcontext()
    if held:
        limits = at_most(int(budget_gb * 1e9))
    began = time.monotonic()
    with limits as join:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=join)
        with peak_memory(process.pid) as peak:
            said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"overtile map failed ({process.returncode})")
    seconds = time.monotonic() - began
    (row,) = json.loads(said)["scenes"]
    return {
        "budget_gb": budget_gb,
        "peak_gb": peak.bytes / 1e9,
        "tiles": row["tiles"],
        "polygons": row["polygons"],
        "seconds": seconds,
    }


def main(small: int = 10_000, large: int = 40_000, budget_gb: float | None = None) -> None:
    """Measure and report."""
    rows: list[dict[str, Any]] = []
    for size in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "made.tif"
            make(scene, size)
            held = budget_gb is not None
            row = mapped(scene, task="bright", budget_gb=budget_gb or 1.5, held=held)
        over = row["peak_gb"] / rows[0]["peak_gb"] if rows else 1.0
        rows.append(
            {"pixels": f"{size} x {size}"}
            | row
            | {"over_small": over, "mpx_per_s": size * size / 1e6 / row["seconds"]}
        )
    report("memory", rows)


def within(what: str, size: int, budget_gb: float) -> None:
    """Measure one scene within a budget that is enforced.

    Args:
        what: ``sixteen`` or ``town``.
        size: Rows and columns.
        budget_gb: The budget.
    """
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "made.tif"
        if what == "town":
            make_town(scene, size)
        else:
            make(scene, size, sixteen=True)
        task = "buildings" if what == "town" else "bright"
        row = mapped(scene, task=task, budget_gb=budget_gb, held=True)
    report(f"memory, {what}", [{"pixels": f"{size} x {size}"} | row])


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] in (["sixteen"], ["town"]):
        within(words[0], int(words[1]), float(words[2]))
    else:
        main(*map(int, words[:2]), *map(float, words[2:3]))
