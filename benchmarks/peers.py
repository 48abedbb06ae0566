"""The same weights on the same scene in other tools: processor seconds of whole processes.

``python -m benchmarks.peers SCENE [--geoai PYTHON] [--geo-inference PYTHON]`` exports the shipped
buildings model as TorchScript, maps a crop of 4096 x 4096 px with Overtile, geoai (tiles of 1024,
overlap 256) and geo-inference (patches of 1024), polygons included. Each tool is named by the
Python of an environment of its own (PyPI: geoai-py, geo-inference); one that is not named is left
out. Bytecode is compiled before anything is measured, by a first run of each on a small crop.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import rasterio
import torch
from rasterio.windows import Window

from benchmarks._report import report
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.registry import find
from pipeline.models.restore import restore_network

EDGE, SMALL = 4096, 512
GEOAI = """
import sys
import numpy as np
import torch
from geoai import predict_geotiff, raster_to_vector
network = torch.jit.load(sys.argv[1])
predict_geotiff(
    network, sys.argv[2], sys.argv[3] + "/p.tif", tile_size=1024, overlap=256, batch_size=4,
    input_bands=[1, 2, 3], num_classes=1, device="cpu", verbose=False,
    preprocess_fn=lambda a: (a.astype("float32") / 255.0 - 0.5) / 0.5,
    postprocess_fn=lambda a: (1 / (1 + np.exp(-a)) > 0.55).astype("float32"),
)
raster_to_vector(sys.argv[3] + "/p.tif", sys.argv[3] + "/p.geojson", threshold=0, min_area=10)
"""
GEO_INFERENCE = """
import sys
from geo_inference.geo_inference import GeoInference
tool = GeoInference(
    model=sys.argv[1], work_dir=sys.argv[3], mask_to_vec=True, device="cpu", num_classes=1,
    prediction_threshold=0.55,
)
tool(inference_input=sys.argv[2], bands_requested=["1", "2", "3"], patch_size=1024, workers=0)
"""


class FirstChannel(torch.nn.Module):
    """The network's class channel alone."""

    def __init__(self, network: torch.nn.Module) -> None:
        """Wrap a network."""
        super().__init__()
        self.network = network

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (batch, 1, rows, cols) logits."""
        found: torch.Tensor = self.network(values)[:, :1]
        return found


def crop(scene: Path, edge: int, out: Path) -> Path:
    """Write the middle of a scene."""
    with rasterio.open(scene) as source:
        col, row = (source.width - edge) // 2, (source.height - edge) // 2
        window = Window(max(0, col), max(0, row), edge, edge)
        profile = source.profile | {"width": edge, "height": edge, "count": 3, "driver": "GTiff"}
        profile["transform"] = source.window_transform(window)
        with rasterio.open(out, "w", **profile) as target:
            target.write(source.read([1, 2, 3], window=window))
    return out


def seconds(command: list[str]) -> float:
    """Return the processor seconds of a process and its children."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(scene: Path, peers: dict[str, tuple[str, str]]) -> None:
    """Measure and report."""
    path = find("buildings")
    if path is None:
        raise SystemExit("the shipped model is not here")
    network = FirstChannel(restore_network(*load_checkpoint(path))).eval()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        script = str(folder / "model.pt")
        with torch.inference_mode():
            torch.jit.trace(network, torch.zeros(1, 3, 256, 256)).save(script)  # type: ignore[no-untyped-call]
        for edge in (SMALL, EDGE):
            picture = str(crop(scene, edge, folder / f"{edge}.tif"))
            out = str(folder / f"overtile-{edge}")
            command = [sys.executable, "-m", "pipeline.cli", "map", picture, "--out", out]
            took = {"overtile": seconds(command)}
            for name, (python, code) in peers.items():
                work = folder / f"{name}-{edge}"
                work.mkdir()
                took[name] = seconds([python, "-c", code, script, picture, str(work)])
    rows = [
        {"tool": name, "cpu_s": cpu, "overtile_over_it": took["overtile"] / cpu}
        for name, cpu in took.items()
    ]
    report("peers", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--geoai", metavar="PYTHON")
    parser.add_argument("--geo-inference", metavar="PYTHON")
    given = parser.parse_args()
    named = {"geoai": (given.geoai, GEOAI), "geo-inference": (given.geo_inference, GEO_INFERENCE)}
    main(given.scene, {name: pair for name, pair in named.items() if pair[0]})
