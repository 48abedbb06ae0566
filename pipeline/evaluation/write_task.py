"""The threshold that an evaluation found, put back into a task file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_atomically

_LINE = re.compile(r"^threshold[ \t]*:[^\n]*$", re.MULTILINE)


def write_threshold(task: Path, report: Path, *, precision: float | None) -> dict[str, Any]:
    """Set a task's ``threshold`` to the pixels' operating point; the rest of the file stays.

    Args:
        task: A YAML task file; a new one is made where there is none.
        report: ``report.json`` or ``summary.json`` that holds the operating points.
        precision: Take the point for this precision, else the one of best F1.

    Returns:
        ``path``, ``threshold`` and the scores to expect there.

    Raises:
        ConfigError: There is no report of a single prediction, or no threshold that fits.
        ExportError: The file could not be written.
    """
    found = _read(report)
    points = found["operating_point"]["pixels"]
    if points is None:
        raise ConfigError(
            f"{found['scene']}: without probability.tif no threshold can be found; "
            "name the folder of a run"
        )
    point = points["best_f1" if precision is None else "at_precision"]
    if point["threshold"] is None:
        raise ConfigError(f"{found['scene']}: {point['reason']}; leave --write-task out")
    line = f"threshold: {max(point['threshold'], 0.004):g}"
    old = task.read_text(encoding="utf-8") if task.is_file() else _fresh(found)
    new = _LINE.sub(line, old, count=1) if _LINE.search(old) else f"{old.rstrip()}\n{line}\n"
    with write_atomically(task) as part:
        part.write_text(new, encoding="utf-8")
    return {"path": str(task), **{name: point[name] for name in point if name != "reason"}}


def _read(report: Path) -> dict[str, Any]:
    """Return the report of the only scene, or the figures of all scenes of the only system."""
    if not report.is_file():
        raise ConfigError(f"{report} is not there: --write-task wants a prediction that was scored")
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if "systems" not in found:
        return found
    if len(found["systems"]) != 1:
        raise ConfigError(
            f"--write-task wants a single prediction, and {len(found['systems'])} were given; "
            "name the folder of one run, which may hold many scenes"
        )
    system: dict[str, Any] = found["systems"][0]
    return {**system, "scene": f"{system['scenes']} scenes of {system['name']}"}


def _fresh(report: dict[str, Any]) -> str:
    """Return a task file with the name and model of the run's task."""
    made = report["run"]
    task, model = made.get("task"), made.get("model")
    name = task if isinstance(task, str) else "buildings"
    known = model.get("name") if isinstance(model, dict) else None
    return f"name: {name}-tuned\nmodel: {known or 'buildings'}\n"
