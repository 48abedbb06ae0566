"""Evaluate maps from Python: how good is a prediction, with intervals."""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.api.child_process.call import call
from pipeline.api.folders import TemporaryFolder
from pipeline.api.inputs import is_frame, scene_paths, vector_path
from pipeline.api.progress import Progress
from pipeline.api.results import MapResult, MapResults
from pipeline.errors import ConfigError, ExportError

if TYPE_CHECKING:
    import pandas as pd
    from geopandas import GeoDataFrame


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its 95 % interval over blocks of ground, or why there is none."""

    value: float | None
    """The metric; None where it is not defined."""
    low: float | None
    """Lower end of the interval; None where there are too few blocks."""
    high: float | None
    """Upper end of the interval."""
    reason: str | None
    """Why there is no value."""

    def __getitem__(self, name: str) -> float | str | None:
        """Return a part by its name, as in ``report.json``."""
        if name not in ("value", "low", "high", "reason"):
            raise KeyError(name)
        found: float | str | None = getattr(self, name)
        return found

    def __float__(self) -> float:
        """Return the value; NaN where there is none."""
        return float("nan") if self.value is None else self.value

    def __str__(self) -> str:
        """Return the value with its interval."""
        if self.value is None:
            return f"- ({self.reason})"
        interval = "" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How good a prediction is.

    Example:
        >>> found = overtile.evaluate("out/scene", "reference.gpkg")    # doctest: +SKIP
        >>> found.metrics["f1"].value, found.metrics["f1"].low          # doctest: +SKIP
    """

    metrics: Mapping[str, Metric]
    """``precision``, ``recall``, ``f1``, ``ap``, ``pixel_iou``, ... by name."""
    scenes: tuple[str, ...]
    """Names of the scenes that were compared."""
    notes: tuple[str, ...]
    """What was repaired, left out or noticed in the inputs."""
    failed: tuple[str, ...]
    """Predictions that could not be compared, with the reason."""
    page: Path
    """The report, a page that opens offline."""
    index: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Index labels of the caller's frames by their text."""
    keep: object = field(default=None, repr=False)
    """Keeps temporary folders alive."""
    work: Path | None = field(default=None, repr=False)
    """Folder of the table of matches."""

    @cached_property
    def matches(self) -> GeoDataFrame:
        """The objects: ``matched``, ``missed``, ``false`` or ``ignored`` (column ``state``).

        ``predicted`` and ``reference`` hold the index labels of the GeoDataFrames that were
        given, else the ids in the files; ``iou`` is that of the match, else of the best overlap.
        """
        import geopandas as gpd

        found = gpd.read_parquet((self.work or self.page.parent) / "matches.parquet")
        for name, labels in self.index.items():
            found[name] = [labels.get(one) if isinstance(one, str) else None for one in found[name]]
        return found

    @property
    def table(self) -> pd.DataFrame:
        """The metrics, a row each: value, low, high, reason."""
        import pandas as pd

        columns = ["value", "low", "high", "reason"]
        rows = [[one.value, one.low, one.high, one.reason] for one in self.metrics.values()]
        return pd.DataFrame(rows, index=list(self.metrics), columns=columns)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report.

        Args:
            path: A file that ends in ``.html``, or a folder, which gets tables as well.

        Returns:
            The page.

        Raises:
            ExportError: It cannot be written.

        Example:
            >>> overtile.evaluate("out/scene", "true.gpkg").report("report.html")  # doctest: +SKIP
        """
        target = Path(path)
        try:
            if target.suffix.lower() in (".html", ".htm"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.page, target)
                return target
            shutil.copytree(self.page.parent, target, dirs_exist_ok=True)
        except OSError as error:
            raise ExportError(
                f"{target}: {error.strerror or error}; choose another path"
            ) from error
        return target / self.page.name

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(one))}</td></tr>"
            for name, one in self.metrics.items()
        )
        title = html.escape(", ".join(self.scenes[:5]))
        return f"<div>{title}</div><table><tr><th>metric</th><th>value</th></tr>{rows}</table>"


def evaluate(  # noqa: PLR0913 - the options of the command
    predicted: Any,
    reference: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    aoi: Any = None,
    scene: Any = None,
    iou: float = 0.5,
    precision: float = 0.9,
    reference_layer: str | None = None,
    progress: Progress = None,
) -> Evaluation:
    """Compare predictions with reference labels: precision, recall, F1, AP, IoU, calibration.

    Args:
        predicted: A `MapResult` or `MapResults`, a GeoDataFrame, a path (a scene's folder, an
            output folder, a vector file or a mask), or a list of these.
        reference: A GeoDataFrame or a file of polygons, a label raster, or a folder with a file
            for each scene.
        out: Folder for the report; None: a temporary folder that lives as long as the result.
        aoi: The labelled area: a file, a GeoDataFrame, or ``(geometry, crs)``.
        scene: The imagery, for the report's map and its pixels.
        iou: IoU of a match, above 0 and at most 1.
        precision: Find the threshold for this precision.
        reference_layer: Layer of the reference file.
        progress: As in `map`.

    Returns:
        Metrics with intervals, the matches and the report.

    Raises:
        ConfigError: An input is missing, damaged, or does not fit the others.
        SceneError: A raster cannot be read.
        ExportError: The report cannot be written.

    Example:
        >>> overtile.evaluate(result, reference_frame).metrics["f1"]    # doctest: +SKIP
    """
    if not 0 < iou <= 1 or not 0 <= precision <= 1:
        raise ConfigError(f"iou={iou:g}, precision={precision:g}: give shares from 0 to 1")
    work = TemporaryFolder()
    given = list(_each(predicted))
    paths = [_predicted_path(one, work.path) for one in given]
    found = call(
        "evaluate",
        {
            "predicted": paths,
            "reference": vector_path(reference, work.path, name="reference"),
            "folders": {
                "out": str(work.path / "report" if out is None else Path(out).absolute()),
                "work": str(work.path),
            },
            "choices": {
                "aoi": None if aoi is None else vector_path(aoi, work.path, name="aoi"),
                "scene": None if scene is None else scene_paths(scene, work.path)[0],
                "truth_layer": reference_layer,
                "iou": float(iou),
                "precision": float(precision),
            },
        },
        progress=progress,
    )
    frames = {"reference": [reference], "predicted": given if len(given) == 1 else []}
    return Evaluation(
        metrics={
            name: Metric(*(one[part] for part in ("value", "low", "high", "reason")))
            for name, one in found["metrics"].items()
        },
        scenes=tuple(found["scenes"]),
        notes=tuple(found["notes"]),
        failed=tuple(found["failed"]),
        page=Path(found["report"]),
        index={
            name: {str(label): label for label in frame.index}
            for name, known in frames.items()
            for frame in known
            if is_frame(frame)
        },
        keep=(work, given),
        work=work.path,
    )


def _each(predicted: Any) -> Iterator[Any]:
    if isinstance(predicted, MapResults):
        yield from (one for one in predicted if one.folder is not None)
    elif isinstance(predicted, str | os.PathLike | MapResult) or is_frame(predicted):
        yield predicted
    elif isinstance(predicted, Iterable):
        for one in predicted:
            yield from _each(one)
    else:
        raise ConfigError(
            f"{type(predicted).__name__} is no prediction: give a path, a MapResult or a "
            "GeoDataFrame"
        )


def _predicted_path(one: Any, folder: Path) -> str:
    if isinstance(one, MapResult):
        return str(one.file("run.json").parent)
    return vector_path(one, folder, name="predicted")
