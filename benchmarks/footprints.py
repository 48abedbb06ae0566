"""Footprints: object F1 of the polygons after each step, on every labelled shared scene.

``python -m benchmarks.footprints [PART...] [--steps STEP...] [--model NAME] [--separate YAML]``
maps each scene of ``train``, ``val`` and ``test`` whose name holds one of the parts (all
without any), as `overtile map` does, once for each step, and scores it as `overtile
evaluate` does. What is tuned, such as ``--separate "{threshold: 0.6}"``, is tuned on train
and val; test is only reported. A model has seen the train places.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks._report import tell
from pipeline.config import load_task
from pipeline.runs.evaluate import Options, evaluate_scene
from pipeline.runs.mapping import map_scenes
from pipeline.runs.request import MapRequest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "buildings"
SPLITS = ("train", "val", "test")
STEPS = {
    "mask": (False, "pixels"),
    "separated": (True, "pixels"),
    "simplified": (True, "simplified"),
    "regularised": (True, "regularised"),
}
"""Whether touching buildings are taken apart, and the outline; a later step holds the earlier."""


def scenes(data: Path, parts: list[str]) -> list[tuple[str, Path, Path]]:
    """Return split, scene and truth of each labelled scene that is wanted."""
    found = []
    for split in SPLITS:
        for scene in sorted((data / split).glob("*.tif")):
            truth = scene.with_name(scene.stem.split("_z")[0] + ".geojson")
            if truth.is_file() and (not parts or any(part in scene.stem for part in parts)):
                found.append((split, scene, truth))
    return found


def scored(scene: Path, truth: Path, task: Path, out: Path) -> dict[str, Any]:
    """Map a scene and return the headline of its report."""
    request = MapRequest(scenes=(str(scene),), out=out, task=str(task))
    (row,) = map_scenes(request, tell=_aside)["scenes"]
    if row["state"] != "done":
        raise SystemExit(f"{scene}: {row.get('reason', row['state'])}")
    folder = Path(row["folder"])
    options = Options(scene=scene)
    report = evaluate_scene(folder, truth, out=folder, options=options).report
    manifest = json.loads((folder / "run.json").read_text("utf-8"))
    return {**report["headline"], "polygons": manifest["polygons"]["written"]}


def _aside(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def task_of(step: str, *, model: str | None, separate: Any) -> dict[str, Any]:
    """Return the built-in task, stopped after a step."""
    apart, outline = STEPS[step]
    task = load_task("buildings").model_dump(mode="json", exclude_none=True)
    shape = {"outline": "pixels"} if outline == "pixels" else task["shape"] | {"outline": outline}
    changes = {"separate": separate if apart else False, "shape": shape}
    return task | changes | ({} if model is None else {"model": model})


def main(arguments: list[str]) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="benchmarks.footprints")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default=None)
    parser.add_argument("--separate", type=yaml.safe_load, default=True)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("parts", nargs="*")
    chosen = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for split, scene, truth in scenes(chosen.data, chosen.parts):
            row: dict[str, Any] = {"split": split, "scene": scene.stem}
            for step in chosen.steps:
                task = Path(folder) / f"{step}.yaml"
                stated = task_of(step, model=chosen.model, separate=chosen.separate)
                task.write_text(yaml.safe_dump(stated), "utf-8")
                found = scored(scene, truth, task, Path(folder) / step)
                row["pixel IoU"] = found["pixel_iou"]["value"]
                row[f"F1 {step}"] = found["f1"]["value"]
                row[f"polygons {step}"] = found["polygons"]
            rows.append(row)
    tell("footprints", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
