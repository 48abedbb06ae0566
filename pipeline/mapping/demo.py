"""The demo: a made scene through the whole pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image

from pipeline.core.georef import Georef
from pipeline.labels.read import read_objects
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.outputs.provenance import MapClass
from pipeline.outputs.rasters.quicklook import View, demo_picture
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from pipeline.synthetic import Style, settlement, write_settlement

SEED = 7
"""Of the demo's scene; no model was trained on it."""
STYLE: Style = "suburb"
"""Some of its buildings touch; in an old town most do."""
SHOWN = 900
"""Edge of the part that the picture shows, in pixels."""


def run_demo(out: Path, *, model: str | None, report: Callable[[str], None]) -> dict[str, Any]:
    """Make a scene and its truth below ``out``, map it, score it and draw it.

    Returns:
        The row of the scene, with ``scores``, and where the picture and report are.

    Raises:
        PipelineError: As `map_scenes` does.
    """
    inputs = out / "input"
    inputs.mkdir(parents=True, exist_ok=True)
    report(f"making a settlement (seed {SEED}, 0.3 m a pixel) ...")
    scene, truth = write_settlement(inputs, seed=SEED, style=STYLE)
    request = MapRequest(scenes=(str(scene),), out=out, truth=truth, model=model)
    summary = map_scenes(request, report=report)
    row: dict[str, Any] = summary["scenes"][0]
    if row["state"] == "failed":
        return {**row, "failed": 1, "picture": None}
    folder = Path(row["folder"])
    picture = out / "demo.png"
    f1, iou = (row["scores"][name]["value"] for name in ("f1", "pixel_iou"))
    caption = (
        f"Overtile's demo: a made scene, {row['polygons']} polygons, "
        f"object F1 {f1:.2f} at IoU 0.5, pixel IoU {iou:.2f}"
    )
    opened = open_scene(SceneRef(kind="geotiff", href=str(scene.absolute())))
    georef = opened.info.georef
    opened.close()
    if georef is not None:
        _draw(picture, folder, caption, georef)
    report(caption)
    return {
        **row,
        "failed": summary["failed"],
        "f1": f1,
        "pixel_iou": iou,
        "scene": str(scene),
        "truth": str(truth),
        "report": str(folder / "report.html"),
        "picture": str(picture),
    }


def _draw(path: Path, folder: Path, caption: str, georef: Georef) -> None:
    """Draw the middle of the scene at full resolution, with the polygons over it."""
    made = settlement(seed=SEED, style=STYLE)
    rows, cols = made.image.shape[1:]
    top, left = (rows - SHOWN) // 2, (cols - SHOWN) // 2
    with Image.open(folder / "mask.tif") as picture:
        mask = np.asarray(picture)[top : top + SHOWN, left : left + SHOWN]
    corner = np.array([left, top])
    objects = read_objects(folder / "polygons.parquet").polygon
    pixels = shapely.transform(objects, lambda points: georef.to_pixels(points) - corner)
    moved = pixels[shapely.intersects(pixels, shapely.box(0, 0, SHOWN, SHOWN))]
    view = View(
        rgb=made.image[:, top : top + SHOWN, left : left + SHOWN],
        mask=mask,
        polygons=moved,
        labels=np.ones(len(moved), np.int32),
        classes=(MapClass(value=1, name="building", colour=(255, 112, 32)),),
    )
    demo_picture(path, view, caption=caption)
