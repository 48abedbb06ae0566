"""Memory: does a scene 16 times as large take more of it?

``python -m benchmarks.memory`` makes two scenes of speckled blocks on the fly, of
10,000 x 10,000 and 40,000 x 40,000 pixels, maps both with the threshold model, and
compares the largest resident memory of the process tree.

``python -m benchmarks.memory 10000 95000 0.9`` chooses the sizes, and a budget in GB that
``--max-memory`` names and a cgroup enforces: whoever takes more is killed. Needs root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from benchmarks._report import peak_memory, tell
from tests.cgroup import at_most


def make(path: Path, size: int) -> None:
    """Write a gray scene of bright rectangles on dark ground, block by block."""
    edge = 1024
    profile = {
        "driver": "GTiff",
        "height": size,
        "width": size,
        "count": 1,
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
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, size, edge):
            for col in range(0, size, edge):
                rng = np.random.default_rng([row, col])
                block = rng.integers(20, 60, (edge, edge), np.uint8)
                for top, left, tall, wide in rng.integers(0, edge, (120, 4)).tolist():
                    block[top : top + 12 + tall // 25, left : left + 12 + wide // 25] = 220
                tall, wide = min(edge, size - row), min(edge, size - col)
                out.write(block[:tall, :wide], 1, window=Window(col, row, wide, tall))


def main(small: int = 10_000, large: int = 40_000, budget_gb: float | None = None) -> None:
    """Measure and tell."""
    rows: list[dict[str, object]] = []
    first = 0.0
    for size in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "made.tif"
            make(scene, size)
            command = [sys.executable, "-m", "pipeline.cli", "map", str(scene), "--out", folder]
            command += ["--task", "bright", "--max-memory", f"{budget_gb or 1.5}GB"]
            began = time.monotonic()
            held: AbstractContextManager[Callable[[], None] | None] = nullcontext()
            if budget_gb is not None:
                held = at_most(int(budget_gb * 1e9))
            with held as join:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=join)
                with peak_memory(process.pid) as peak:
                    if process.wait():
                        raise SystemExit("overtile map failed")
            seconds = time.monotonic() - began
        first = first or peak.bytes
        rows.append(
            {
                "pixels": f"{size} x {size}",
                "budget_gb": budget_gb or 1.5,
                "peak_gb": peak.bytes / 1e9,
                "over_small": peak.bytes / first,
                "seconds": seconds,
                "mpx_per_s": size * size / 1e6 / seconds,
            }
        )
    tell("memory", rows)


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[1:3]]
    main(*sizes, *(float(budget) for budget in sys.argv[3:]))
