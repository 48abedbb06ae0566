"""Several predictions: compared where they show the same scenes, summed up as a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, ExportError, SceneError
from pipeline.evaluation.aggregate import aggregate_metrics, compare_systems
from pipeline.evaluation.common_grid import made_up_grid
from pipeline.evaluation.evaluate import Options, evaluate_opened
from pipeline.evaluation.predictions import Predicted, expand_predictions, grid_at, open_predicted
from pipeline.evaluation.report import write_summary
from pipeline.evaluation.result import Evaluation
from pipeline.labels.read import read_objects
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
    predicted: Sequence[Path], reference: Path, *, out: Path, options: Options
) -> Summary:
    """Score one or more predictions, and write a report of each and a summary of all.

    With one prediction the report lies in ``out`` itself; with several, in a folder
    each, beside ``summary.html`` and ``summary.json``. A scene that fails is listed,
    and the others go on.

    Raises:
        ConfigError: An input is missing or does not fit.
        SceneError: The only prediction cannot be read.
        ExportError: A report cannot be written.
    """
    fresh = not out.exists()
    _prepare(out)
    try:
        return _evaluated(predicted, reference, out, options)
    finally:
        # Of what failed from the start nothing is left behind.
        if fresh:
            with suppress(OSError):
                out.rmdir()


def _evaluated(predicted: Sequence[Path], reference: Path, out: Path, options: Options) -> Summary:
    failed: list[str] = []
    entries = _entries(predicted, reference, options, failed)
    if len(entries) == 1 and not failed:
        return _single(evaluate_opened(entries[0].predicted, reference, out, options), out)
    done: list[tuple[str, str, Evaluation]] = []
    for entry in entries:
        try:
            folder = out / entry.folder
            _prepare(folder)
            found = evaluate_opened(entry.predicted, reference, folder, options)
            done.append((entry.system, entry.folder, found))
        except (ConfigError, SceneError) as error:
            failed.append(f"{entry.predicted.source}: {error}")
            with suppress(OSError):  # nothing is left of it, but what an earlier one wrote
                folder.rmdir()
    nothing = [nothing_compared(found.report) for _, _, found in done]
    if done and not failed and all(nothing):
        failed.extend(
            f"{found.report['scene']}: {why}"
            for (_, _, found), why in zip(done, nothing, strict=True)
        )
    summary = summarise(done, failed, wanted=options.precision)
    write_summary(summary, out)
    return summary


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ExportError(f"{out}: it is a file; choose a folder with --out") from error
    except OSError as error:
        raise ExportError(
            f"{out}: {(error.strerror or str(error)).lower()}; choose --out"
        ) from error


def _entries(
    predicted: Sequence[Path], reference: Path, options: Options, failed: list[str]
) -> list[_Entry]:
    """Read every prediction; bare vector files of one scene are given common pixels.

    Raises:
        ConfigError: The only one cannot be read.
    """
    paths = [(str(system), path) for system in predicted for path in expand_predictions([system])]
    opened: list[tuple[str, Predicted]] = []
    for system, path in paths:
        try:
            opened.append((system, open_predicted(path, layer=options.predicted_layer)))
        except (ConfigError, SceneError) as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
    if reference.is_file():
        shared = _on_one_scene([one for _, one in opened], reference, options)
        opened = [(system, one) for (system, _), one in zip(opened, shared, strict=True)]
    names = unique([slug(one.name) for _, one in opened], [str(one.source) for _, one in opened])
    return [
        _Entry(system=system, predicted=one, folder=name)
        for (system, one), name in zip(opened, names, strict=True)
    ]


def _on_one_scene(
    opened: Sequence[Predicted], reference: Path, options: Options
) -> list[Predicted]:
    """Give predictions of one scene the same pixels, those of a run or of the imagery first."""
    runs = [one for one in opened if one.manifest and one.grid is not None]
    known = runs[0] if len({one.fingerprint for one in runs}) == 1 else None
    bare = [one for one in opened if one.grid is None and one.objects.crs is not None]
    grid = known.grid if known else None
    if grid is None and bare and options.scene is not None:
        grid = grid_at(options.scene)
    if grid is None and len(bare) > 1 and not runs:
        true = read_objects(reference, choice=options.of_reference)
        grid = made_up_grid([*(one.objects for one in bare), true])
    if grid is None or grid.georef is None:
        return list(opened)
    twin = known.fingerprint if known else None
    return [
        replace(one, grid=grid, twin=twin)
        if any(one is other for other in bare) or (not one.manifest and one.grid == grid)
        else one
        for one in opened
    ]


def _single(evaluation: Evaluation, out: Path) -> Summary:
    report = evaluation.report
    nothing = nothing_compared(report)
    return {
        "scene": report["scene"],
        "report": str(out / "report.html"),
        "headline": report["headline"],
        "notes": report["notes"],
        "failed": [f"{report['scene']}: {nothing}"] if nothing else [],
    }


def nothing_compared(report: Mapping[str, Any]) -> str | None:
    """Return why a mask could not be compared at all; None where there is a figure.

    Polygons of which there are none, or none in the scene, are a note alone.
    """
    headline = report["headline"]
    masks = any(one and one.get("values") for one in report["inputs"].values())
    if any(figure["value"] is not None for figure in headline.values()) or not masks:
        return None
    reason = headline["f1"]["reason"] or "no figure exists"
    return "; ".join([f"nothing could be compared: {reason}", *report["notes"]])


def summarise(
    done: Sequence[tuple[str, str, Evaluation]], failed: Sequence[str], *, wanted: float = 0.9
) -> Summary:
    """Return the figures of each prediction, of each system, and how systems differ.

    Args:
        done: System (one of the user's arguments), folder of the report, and evaluation.
        failed: Why the others could not be scored.
        wanted: Precision for which an operating point is sought.
    """
    systems: dict[str, dict[str, Evaluation]] = {}
    for system, _, evaluation in done:
        known = systems.setdefault(system, {})
        known.setdefault(_scene_key(evaluation.compared.prediction), evaluation)
    if len(systems) > 1 and not _shared(systems):
        # Nothing to compare: the user listed the scenes of one batch.
        systems = {"all": {key: one for known in systems.values() for key, one in known.items()}}
    rows = [
        {
            "system": system,
            "scene": evaluation.report["scene"],
            "report": f"{folder}/report.html",
            "references": int(evaluation.matched.matching.counts_reference.sum()),
            "predictions": int(evaluation.matched.matching.counts_prediction.sum()),
            "headline": evaluation.report["headline"],
            "notes": evaluation.report["notes"],
        }
        for system, folder, evaluation in done
    ]
    return {
        "schema": "overtile/summary/2",
        "scenes": rows,
        "systems": [
            {
                "name": system,
                **_made(known),
                **aggregate_metrics(list(known.values()), wanted=wanted),
            }
            for system, known in systems.items()
        ],
        "total": aggregate_metrics([evaluation for _, _, evaluation in done], wanted=wanted)
        if done
        else None,
        "comparisons": _comparisons(systems),
        "failed": list(failed),
    }


def _shared(systems: dict[str, dict[str, Evaluation]]) -> bool:
    """Return whether two systems show the same scene."""
    keys = [key for known in systems.values() for key in known]
    return len(set(keys)) < len(keys)


def _made(known: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Return task and model where all scenes of a system were made by the same."""
    found = [
        {name: one.report["run"].get(name) for name in ("task", "model")} for one in known.values()
    ]
    return {"run": found[0] if all(one == found[0] for one in found) else {}}


def _comparisons(systems: dict[str, dict[str, Evaluation]]) -> list[dict[str, Any]]:
    """Return how every later system differs from the first, over the scenes they share."""
    if len(systems) < 2:
        return []
    (first, ours), *others = systems.items()
    found = []
    for second, foreign in others:
        shared = [key for key in ours if key in foreign]
        table: dict[str, Any] = {"reason": "they have no scene in common", "figures": {}}
        if shared:
            table = compare_systems([ours[key] for key in shared], [foreign[key] for key in shared])
        found.append({"first": first, "second": second, "scenes": len(shared), **table})
    return found


def _scene_key(predicted: Predicted) -> str:
    """Return the identity of a scene: the run's fingerprint, else the pixels, else the name."""
    if predicted.manifest or predicted.twin:
        return predicted.fingerprint
    grid = predicted.grid
    if grid is None or grid.georef is None:
        return predicted.name
    return repr((grid.height, grid.width, grid.georef.transform))
