"""Several predictions: compared where they show the same scenes, summed up as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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

    system: str
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
    fresh = not out.exists()
    _prepare(out)
    try:
        return _evaluated(predicted, truth, out, options)
    finally:
        # Of what failed from the start nothing is left behind.
        if fresh:
            with suppress(OSError):
                out.rmdir()


def _evaluated(predicted: Sequence[Path], truth: Path, out: Path, options: Options) -> Summary:
    failed: list[str] = []
    entries = _entries(predicted, truth, options, failed)
    if len(entries) == 1 and not failed:
        return _single(evaluate_opened(entries[0].predicted, truth, out, options), out)
    done: list[tuple[str, str, Evaluation]] = []
    for entry in entries:
        try:
            folder = out / entry.folder
            _prepare(folder)
            found = evaluate_opened(entry.predicted, truth, folder, options)
            done.append((entry.system, entry.folder, found))
        except (ConfigError, SceneError) as error:
            failed.append(f"{entry.predicted.source}: {error}")
    summary = summed_up(done, failed)
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
    paths = [(str(system), path) for system in predicted for path in expanded([system])]
    opened: list[tuple[str, Predicted]] = []
    for system, path in paths:
        try:
            opened.append((system, open_predicted(path)))
        except (ConfigError, SceneError) as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
    bare = [one for _, one in opened if one.grid is None and one.objects.crs is not None]
    if len(bare) > 1 and truth.is_file():
        true = read_objects(truth, layer=options.truth_layer)
        grid = made_up_grid([*(one.objects for one in bare), true])
        opened = [
            (system, replace(one, grid=grid) if one.grid is None else one) for system, one in opened
        ]
    names = unique([slug(one.name) for _, one in opened], [str(one.source) for _, one in opened])
    return [
        _Entry(system=system, predicted=one, folder=name)
        for (system, one), name in zip(opened, names, strict=True)
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


def summed_up(done: Sequence[tuple[str, str, Evaluation]], failed: Sequence[str]) -> Summary:
    """Return the figures of each prediction, of each system, and how systems differ.

    Args:
        done: System (one of the user's arguments), folder of the report, and evaluation.
        failed: Why the others could not be scored.
    """
    systems: dict[str, dict[str, Evaluation]] = {}
    for system, _, evaluation in done:
        known = systems.setdefault(system, {})
        known.setdefault(_scene_key(evaluation.compared.predicted), evaluation)
    rows = [
        {
            "system": system,
            "scene": evaluation.report["scene"],
            "report": f"{folder}/report.html",
            "truths": int(evaluation.matched.matching.counts_truth.sum()),
            "predictions": int(evaluation.matched.matching.counts_prediction.sum()),
            "headline": evaluation.report["headline"],
            "notes": evaluation.report["notes"],
        }
        for system, folder, evaluation in done
    ]
    return {
        "schema": "overtile/summary/1",
        "scenes": rows,
        "systems": [
            {"name": system, **pooled(list(known.values()))} for system, known in systems.items()
        ],
        "total": pooled([evaluation for _, _, evaluation in done]) if done else None,
        "comparisons": _comparisons(systems),
        "failed": list(failed),
    }


def _comparisons(systems: dict[str, dict[str, Evaluation]]) -> list[dict[str, Any]]:
    """Return how every later system differs from the first, over the scenes they share."""
    if len(systems) < 2:
        return []
    (first, mine), *others = systems.items()
    found = []
    for second, theirs in others:
        shared = [key for key in mine if key in theirs]
        if shared:
            table = comparison([mine[key] for key in shared], [theirs[key] for key in shared])
            found.append({"first": first, "second": second, "scenes": len(shared), **table})
    return found


def _scene_key(predicted: Predicted) -> str:
    """Return what tells scenes apart: the run's fingerprint, else the pixels, else the name."""
    if predicted.manifest:
        return predicted.fingerprint
    grid = predicted.grid
    if grid is None or grid.georef is None:
        return predicted.name
    return repr((grid.height, grid.width, grid.georef.transform))
