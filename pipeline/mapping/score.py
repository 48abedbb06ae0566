"""Evaluation of mapped scenes where a reference is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SceneError
from pipeline.evaluation.batch import summarise
from pipeline.evaluation.evaluate import Options, evaluate_scene
from pipeline.evaluation.report import write_summary
from pipeline.mapping.planning.request import MapRequest
from pipeline.scenes.archive.extract import extracted
from pipeline.scenes.archive.members import archive_of
from pipeline.scenes.scene import SceneRef

EVALUATION = "evaluation"
"""Where a row holds what was found out, until `write_score_summary` takes it."""


def check_truth(request: MapRequest) -> None:
    """Refuse truth that is not there, before anything is mapped.

    Raises:
        ConfigError: It is not.
    """
    if request.truth is not None and not request.truth.exists():
        raise ConfigError(
            f"{request.truth} does not exist; name a file with the true polygons or labels"
        )


def score_scene(
    request: MapRequest, ref: SceneRef, target: Path, report: Callable[[str], None]
) -> dict[str, Any]:
    """Score a scene, write its report, and return what its row of the summary gains.

    The map stands whether it can be scored or not: ``unscored`` is the reason.
    """
    if request.truth is None:
        return {}
    try:
        with _local_file(ref) as scene:
            options = Options(
                aoi=request.aoi,
                aoi_layer=request.aoi_layer,
                truth_layer=request.truth_layer,
                scene=scene,
            )
            found = evaluate_scene(target, request.truth, out=target, options=options)
    except (ConfigError, SceneError) as error:
        report(f"{target.name}: mapped, but not scored: {error}")
        return {"unscored": str(error)}
    return {"scores": found.report["headline"], EVALUATION: found}


@contextmanager
def _local_file(ref: SceneRef) -> Iterator[Path | None]:
    """Yield a scene's own file; None for one that is no file on this disk."""
    archive = archive_of(ref.href) if ref.kind == "zipped" else None
    if archive is not None:
        with extracted(*archive) as path:
            yield path
    elif ref.kind in {"geotiff", "image", "jp2"} and "://" not in ref.href:
        yield Path(ref.href)
    else:
        yield None


def write_score_summary(rows: list[dict[str, Any]], out: Path) -> dict[str, Any]:
    """Write ``summary.html`` over the scenes that were scored, where there are several.

    Returns:
        What the run's summary gains: where the page is.
    """
    done = [
        (str(out), Path(row["folder"]).name, found)
        for row in rows
        if (found := row.pop(EVALUATION, None)) is not None
    ]
    if len(done) < 2:
        return {}
    failed = [f"{row['scene']}: {row['unscored']}" for row in rows if "unscored" in row]
    write_summary(summarise(done, failed), out)
    return {"report": str(out / "summary.html")}
