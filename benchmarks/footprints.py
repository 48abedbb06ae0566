"""Footprints: object F1 of the polygons after each step, on every labelled shared scene.

``python -m benchmarks.footprints [PART...] [--steps STEP...] [--model NAME] [--separate YAML]``
maps each scene of ``train``, ``val`` and ``test`` whose name holds one of the parts (all
without any), as `overtile map` does, once for each step (tiles that two steps have in
common are predicted once), and scores it as `overtile evaluate` does. What is tuned, such
as ``--separate "{threshold: 0.6}"``, is tuned on train and val; test is only reported. A
model has seen the train places. The labels of ``noisy`` ones are wrong, so that with
``--noisy`` their polygons are counted and never scored. ``--coarser 2`` averages the scenes to
pixels of twice the size first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import rasterio
import yaml
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window

from benchmarks._report import report
from pipeline.config import load_task
from pipeline.evaluation.evaluate import Options, evaluate_scene
from pipeline.executors.executor import Conditions, Job, Result
from pipeline.executors.serial import Serial
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scene
from pipeline.mapping.tiles.tile_task import TileJob
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.scenes.find import find_scenes, unique_names

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "buildings"
SPLITS = ("train", "val", "test")
STEPS = {
    "mask": (False, "pixels"),
    "separated": (True, "pixels"),
    "subpixel": (True, "subpixel"),
    "simplified": (True, "simplified"),
    "regularised": (True, "regularised"),
}
"""Whether touching buildings are taken apart, and the outline."""
USUAL = ["mask", "separated", "simplified", "regularised"]


class Keeping:
    """Carries tasks out one by one, and keeps artefacts of tiles for other runs."""

    def __init__(self, kept: Path) -> None:
        """Keep them in a folder."""
        self._kept = kept
        self._serial = Serial()

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Do as `Serial` does; what is there already is put where a task looks for it."""
        for given in jobs:
            if not isinstance(given, TileJob):
                raise TypeError(f"{given} is no tile")
            name = f"{given.plan.key(given.core)}.tile"
            kept, wanted = self._kept / name, given.plan.tiles / name
            if kept.is_file():
                shutil.copyfile(kept, wanted)
            yield from self._serial.run(task, [given])
            if wanted.is_file():
                shutil.copyfile(wanted, kept)

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Do it here."""
        return self._serial.everywhere(task)

    def require(self, conditions: Conditions) -> None:
        """Do as `Serial` does."""
        self._serial.require(conditions)

    def close(self) -> None:
        """Have nothing to give back."""


def scenes(data: Path, parts: list[str], splits: tuple[str, ...]) -> list[tuple[str, Path, Path]]:
    """Return split, scene and truth of each labelled scene that is wanted."""
    found = []
    for split in splits:
        for scene in sorted((data / split).glob("*.tif")):
            truth = scene.with_name(scene.stem.split("_z")[0] + ".geojson")
            if truth.is_file() and (not parts or any(part in scene.stem for part in parts)):
                found.append((split, scene, truth))
    return found


def coarsened(scene: Path, out: Path, factor: float) -> Path:
    """Write a scene averaged to coarser pixels, over its ground but for a last part of one."""
    with rasterio.open(scene) as source:
        height, width = (int(size / factor) for size in source.shape)
        down, across = int(height * factor), int(width * factor)
        pixels = source.read(
            window=Window(0, 0, across, down),
            out_shape=(source.count, height, width),
            resampling=Resampling.average,
        )
        profile = {"driver": "GTiff", "dtype": source.dtypes[0], "count": source.count}
        profile |= {"height": height, "width": width, "crs": source.crs, "nodata": source.nodata}
        profile["transform"] = source.transform @ Affine.scale(across / width, down / height)
        path = out / scene.name
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels)
            target.colorinterp = source.colorinterp
    return path


def mapped(request: MapRequest, kept: Path) -> dict[str, Any]:
    """Map a scene and return the row of it."""
    install_guard()
    found = find_scenes(request.scenes, {})
    task = request.chosen_task
    crew = CheckedWorkers(request, task)
    crew._executor = Keeping(kept)  # Tiles are the same for steps that only shape.
    return map_scene(request, crew, found.refs[0], unique_names(found.refs)[0], _aside)


def figures(scene: Path, truth: Path | None, request: MapRequest, kept: Path) -> dict[str, Any]:
    """Map a scene and return the headline of its report; without truth its polygons alone."""
    row = mapped(request, kept)
    if row["state"] != "done":
        raise SystemExit(f"{scene}: {row.get('reason', row['state'])}")
    told = {"polygons": row["polygons"]}
    if truth is None:
        return told
    folder = Path(row["folder"])
    report = evaluate_scene(folder, truth, out=folder, options=Options(scene=scene)).report
    return {**report["headline"], **told}


def _aside(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def task_of(step: str, *, model: str | None, separate: Any) -> dict[str, Any]:
    """Return the built-in task, stopped after a step."""
    apart, outline = STEPS[step]
    task = load_task("buildings").model_dump(mode="json", exclude_none=True)
    shape = {"outline": outline, "min_hole_m2": task["shape"]["min_hole_m2"]}
    if outline in ("simplified", "regularised"):
        shape |= task["shape"] | {"outline": outline}
    changes = {"separate": separate if apart else False, "shape": shape}
    return task | changes | ({} if model is None else {"model": model})


def main(arguments: list[str]) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="benchmarks.footprints")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default=None)
    parser.add_argument("--separate", type=yaml.safe_load, default=True)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=USUAL)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--noisy", action="store_true", help="count polygons of noisy places")
    parser.add_argument("--coarser", type=float, default=1.0)
    parser.add_argument("parts", nargs="*")
    chosen = parser.parse_args(arguments)
    rows = []
    splits = ("noisy",) if chosen.noisy else SPLITS
    for split, scene, truth in scenes(chosen.data, chosen.parts, splits):
        row: dict[str, Any] = {"split": split, "scene": scene.stem}
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "kept"
            kept.mkdir()
            if chosen.coarser > 1:
                scene = coarsened(scene, Path(folder), chosen.coarser)
            for step in chosen.steps:
                task = Path(folder) / f"{step}.yaml"
                stated = task_of(step, model=chosen.model, separate=chosen.separate)
                task.write_text(yaml.safe_dump(stated), "utf-8")
                request = MapRequest(
                    scenes=(str(scene),),
                    out=Path(folder) / step,
                    task=str(task),
                    device=chosen.device,
                )
                found = figures(scene, None if chosen.noisy else truth, request, kept)
                if not chosen.noisy:
                    row["pixel IoU"] = found["pixel_iou"]["value"]
                    row[f"F1 {step}"] = found["f1"]["value"]
                row[f"polygons {step}"] = found["polygons"]
        rows.append(row)
        _aside(json.dumps(row))
    report("footprints", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
