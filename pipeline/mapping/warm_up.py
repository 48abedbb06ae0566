"""Compilation of all loops of mapping, so that no later run compiles: ``python -m`` this."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.synthetic.files import write_settlement

EDGE = 320
"""Side of the scene in pixels: several tiles, so that polygons are merged across them."""


def compile_loops() -> None:
    """Map a small synthetic scene with the shipped model, scored; the outputs are dropped."""
    with tempfile.TemporaryDirectory() as place:
        scene, truth = write_settlement(
            Path(place), seed=5, height=EDGE, width=EDGE, pixel_size_m=0.15
        )
        request = MapRequest(
            scenes=(str(scene),),
            out=Path(place) / "out",
            task="buildings",
            device="cpu",
            tile=512,
            truth=truth,
        )
        map_scenes(request, report=lambda _: None)


if __name__ == "__main__":
    compile_loops()
