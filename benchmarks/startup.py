"""What a small scene costs besides its prediction: `map` of a tile over a bare process.

``python -m benchmarks.startup [--repeats 5]`` maps a synthetic scene of 1024 x 1024 px of the
shipped buildings model's own pixel size, in a process of its own with bytecode and the cache of
compiled loops warm, and predicts the same tile with its halo in a bare process that imports
OpenVINO and NumPy alone. Reported are medians of processor seconds of whole processes, and their
ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._report import report
from pipeline.models.registry import SHIPPED, card_of
from pipeline.synthetic.files import write_settlement

EDGE = 1024
BARE = """
import sys
import numpy as np
import openvino
core = openvino.Core()
settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
network = core.compile_model(core.read_model(sys.argv[1]), "CPU", settings)
edge = int(sys.argv[2])
values = np.zeros((1, 3, edge, edge), np.float32)
print(network(values)[0].shape)
"""


def processor_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the processor seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(repeats: int) -> None:
    """Measure and report."""
    card = card_of("buildings")
    halo = -(-(card.network.rf_radius or 0) // card.network.stride) * card.network.stride
    size = (card.inputs.preferred_gsd_m or (0.15, 0.2))[0]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    mapping, bare = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        scene, _ = write_settlement(folder, seed=3, height=EDGE, width=EDGE, pixel_size_m=size)
        onnx = str(SHIPPED / "buildings" / "model.onnx")
        for turn in range(repeats + 1):
            command = [sys.executable, "-m", "pipeline.cli", "map", str(scene)]
            took = processor_seconds([*command, "--out", str(folder / f"{turn}")], environment)
            alone = [sys.executable, "-c", BARE, onnx, str(EDGE + 2 * halo)]
            other = processor_seconds(alone, environment)
            if turn:  # the first fills caches
                mapping.append(took)
                bare.append(other)
    first, second = statistics.median(mapping), statistics.median(bare)
    report("startup", [{"map_s": first, "bare_s": second, "ratio": first / second}])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args().repeats)
