"""Several predictions: compared where they show the same scenes, summed up as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, ExportError, SceneError
from pipeline.runs.evaluate import Options, evaluate_opened
from pipeline.runs.evaluate_frame import made_up_grid
from pipeline.runs.evaluate_inputs import Predicted, expanded, open_predicted
from pipeline.runs.evaluate_pool import comparison, pooled
from pipeline.runs.evaluate_report import write_summary
from pipeline.runs.evaluate_result import Evaluation
from pipeline.runs.truth import read_objects
from pipeline.scenes.names import slug, unique

Summary = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One prediction of one scene."""

    system: int
    """Which of the user's arguments it belongs to."""
    predicted: Predicted
    """What was read."""
    folder: str
    """Where its report goes, under the output folder."""


def evaluate_many(
    predicted: Sequence[Path], truth: Path, *, out: Path, options: Options
) -> Summary:
    """Score one or more predictions, and write a report of each and a summary of all.

    With one prediction the report lies in ``out`` itself; with several, in a folder
    each, beside ``summary.html`` and ``summary.json``. A scene that fails is listed,
    and the others go on.

    Raises:
        ConfigError: An input is missing or does not fit, so that nothing can be said.
        SceneError: The only prediction cannot be read.
        ExportError: A report cannot be written.
    """
    _prepare(out)
    failed: list[str] = []
    entries = _entries(predicted, truth, options, failed)
    if len(entries) == 1 and not failed:
        return _single(evaluate_opened(entries[0].predicted, truth, out, options), out)
    done: list[tuple[_Entry, Evaluation]] = []
    for entry in entries:
        try:
            folder = out / entry.folder
            _prepare(folder)
            done.append((entry, evaluate_opened(entry.predicted, truth, folder, options)))
        except (ConfigError, SceneError) as error:
            failed.append(f"{entry.predicted.source}: {error}")
    summary = _summary(done, failed, [str(path) for path in predicted])
    write_summary(summary, out)
    return summary


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"{out}: {(error.strerror or str(error)).lower()}; choose --out"
        ) from error


def _entries(
    predicted: Sequence[Path], truth: Path, options: Options, failed: list[str]
) -> list[_Entry]:
    """Read every prediction; bare vector files of one scene are given common pixels.

    Raises:
        ConfigError: The only one cannot be read.
    """
    paths = [(row, path) for row, system in enumerate(predicted) for path in expanded([system])]
    opened: list[tuple[int, Predicted]] = []
    for row, path in paths:
        try:
            opened.append((row, open_predicted(path)))
        except (ConfigError, SceneError) as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
    bare = [one for _, one in opened if one.grid is None and one.objects.crs is not None]
    if len(bare) > 1 and truth.is_file():
        true = read_objects(truth, layer=options.truth_layer)
        grid = made_up_grid([*(one.objects for one in bare), true])
        opened = [
            (row, replace(one, grid=grid) if one.grid is None else one) for row, one in opened
        ]
    names = unique([slug(one.name) for _, one in opened], [str(one.source) for _, one in opened])
    return [
        _Entry(system=row, predicted=one, folder=name)
        for (row, one), name in zip(opened, names, strict=True)
    ]


def _single(evaluation: Evaluation, out: Path) -> Summary:
    report = evaluation.report
    return {
        "scene": report["scene"],
        "report": str(out / "report.html"),
        "headline": report["headline"],
        "notes": report["notes"],
        "failed": [],
    }


def _summary(
    done: Sequence[tuple[_Entry, Evaluation]], failed: list[str], arguments: list[str]
) -> Summary:
    """Return the figures of each prediction, of each argument, and how arguments differ."""
    systems: dict[int, dict[str, Evaluation]] = {}
    for entry, evaluation in done:
        known = systems.setdefault(entry.system, {})
        known.setdefault(_scene_key(entry.predicted), evaluation)
    rows = [
        {
            "system": arguments[entry.system],
            "scene": evaluation.report["scene"],
            "report": f"{entry.folder}/report.html",
            "truths": int(evaluation.matched.matching.counts_truth.sum()),
            "predictions": int(evaluation.matched.matching.counts_prediction.sum()),
            "headline": evaluation.report["headline"],
            "notes": evaluation.report["notes"],
        }
        for entry, evaluation in done
    ]
    return {
        "schema": "overtile/summary/1",
        "scenes": rows,
        "systems": [
            {"name": arguments[system], **pooled(list(known.values()))}
            for system, known in systems.items()
        ],
        "total": pooled([evaluation for _, evaluation in done]) if done else None,
        "comparisons": _comparisons(systems, arguments),
        "failed": failed,
    }


def _comparisons(
    systems: dict[int, dict[str, Evaluation]], arguments: list[str]
) -> list[dict[str, Any]]:
    """Return how every later argument differs from the first, over the scenes they share."""
    if len(systems) < 2:
        return []
    (first, mine), *others = systems.items()
    found = []
    for second, theirs in others:
        shared = [key for key in mine if key in theirs]
        if shared:
            table = comparison([mine[key] for key in shared], [theirs[key] for key in shared])
            names = {"first": arguments[first], "second": arguments[second]}
            found.append({**names, "scenes": len(shared), **table})
    return found


def _scene_key(predicted: Predicted) -> str:
    """Return what tells scenes apart: the run's fingerprint, else the pixels, else the name."""
    if predicted.manifest:
        return predicted.fingerprint
    grid = predicted.grid
    if grid is None or grid.georef is None:
        return predicted.name
    return repr((grid.height, grid.width, grid.georef.transform))
