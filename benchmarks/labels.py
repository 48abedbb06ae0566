"""How fast a label raster becomes objects, and in how much memory.

Run ``python -m benchmarks.labels [EDGE]``: a made raster of ``EDGE`` x ``EDGE`` pixels.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from pipeline.labels.formats.raster import trace_label_raster

ROWS = 512


def main() -> None:
    """Print a table and a JSON line."""
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 32_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.tif"
        _write(path, edge)
        before = _peak()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = trace_label_raster(path)
        row = {
            "benchmark": "labels",
            "megapixels": round(edge * edge / 1e6),
            "objects": len(found),
            "wall_s": round(time.perf_counter() - begin, 1),
            "cpu_s": round(time.process_time() - begin_cpu, 1),
            "peak_before_gib": round(before, 2),
            "peak_gib": round(_peak(), 2),
        }
    for name, value in row.items():
        sys.stdout.write(f"{name:>24}  {value}\n")
    sys.stdout.write(json.dumps(row) + "\n")


def _write(path: Path, edge: int) -> None:
    """Write rectangles of 10 to 40 pixels, about one for 40,000 pixels."""
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255, "zlevel": 1}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    place = {"crs": "EPSG:32633", "transform": Affine(0.3, 0, 5e5, 0, -0.3, 5.5e6)}
    with rasterio.open(path, "w", height=edge, width=edge, **profile, **tiles, **place) as file:
        for top in range(0, edge, ROWS):
            rows = np.zeros((min(ROWS, edge - top), edge), np.uint8)
            for _ in range(rows.size // 40_000):
                row, col = rng.integers(0, rows.shape[0]), rng.integers(0, edge)
                height, width = rng.integers(10, 41, 2)
                rows[row : row + height, col : col + width] = 1
            file.write(rows, 1, window=((top, top + len(rows)), (0, edge)))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
