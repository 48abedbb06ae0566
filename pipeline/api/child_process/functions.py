"""The functions that a child process runs, by name: JSON values in, JSON values out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.api.child_process.region import region
from pipeline.api.child_process.shown import shown

Report = Callable[[str], None]


def map_scenes(
    *, scenes: list[str], out: str, settings: Mapping[str, Any], dry: bool, report: Report
) -> dict[str, Any]:
    """Map scenes, or plan it: the summary of ``overtile map``.

    Args:
        scenes: Paths and URLs.
        out: The output folder.
        settings: Task, model, area of interest and the fields of `MapOptions`.
        dry: Whether to plan only.
        report: Takes progress lines.
    """
    from pipeline.mapping.plan_scene import dry_run
    from pipeline.mapping.run import map_scenes as run

    request = _request(scenes, Path(out), settings)
    found: dict[str, Any] = shown(dry_run(request) if dry else run(request, report=report))
    return found


def _request(scenes: list[str], out: Path, settings: Mapping[str, Any]) -> Any:
    from pipeline.config import load_task
    from pipeline.errors import ConfigError
    from pipeline.mapping.planning.request import MapRequest, memory

    given = dict(settings)
    for name, allowed in _CHOICES.items():
        if given[name] not in allowed:
            known = ", ".join(one for one in allowed if one)
            raise ConfigError(f"{name}={given[name]!r} is none of {known}")
    scene_options = {name: given.pop(name) for name in ("crs", "datetime", "asset", "slices")}
    size = given.pop("max_memory")
    formats = tuple(given.pop("formats"))
    if not formats and "parquet" not in (usual := load_task(given["task"]).formats):
        formats = tuple(usual)
    reference, aoi = given.pop("reference"), given.pop("aoi")
    bands, values = given.pop("bands"), given.pop("values")
    return MapRequest(
        scenes=tuple(scenes),
        out=out,
        max_memory=size if isinstance(size, int) else memory(size),
        formats=tuple(dict.fromkeys((*formats, "parquet"))) if formats else (),
        tile_timeout_s=float(given.pop("tile_timeout")),
        aoi=None if aoi is None else Path(aoi),
        truth=None if reference is None else Path(reference),
        truth_layer=given.pop("reference_layer"),
        bands=None if bands is None else tuple(map(str, bands)),
        values=None if values is None else (float(values[0]), float(values[1])),
        scene_options=tuple(sorted((k, v) for k, v in scene_options.items() if v is not None)),
        **given,
    )


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "device": ("auto", "cpu", "cuda", "openvino"),
    "overlap": (None, "first", "last", "newest", "oldest"),
}


def evaluate(
    *,
    predicted: list[str],
    reference: str,
    folders: Mapping[str, str],
    choices: Mapping[str, Any],
    report: Report,  # noqa: ARG001 - nothing is reported
) -> dict[str, Any]:
    """Score predictions against reference labels; see `compare`.

    Args:
        predicted: Paths.
        reference: A path.
        folders: ``out`` for the reports, ``work`` for the matches.
        choices: The fields of the evaluation's options.
        report: Takes progress lines.
    """
    from pipeline.api.child_process.compare import evaluate as compare
    from pipeline.evaluation.evaluate import Options

    paths = {name: None if choices[name] is None else Path(choices[name]) for name in _PATHS}
    found: dict[str, Any] = shown(
        compare(
            [Path(one) for one in predicted],
            Path(reference),
            out=Path(folders["out"]),
            work=Path(folders["work"]),
            options=Options(**{**choices, **paths}),
        )
    )
    return found


_PATHS = ("aoi", "scene")


def validate(*, paths: list[str], report: Report) -> dict[str, list[str]]:  # noqa: ARG001
    """Validate files and the files in folders; return what is wrong with each.

    Raises:
        ConfigError: A path does not exist, or there is nothing to validate.
    """
    from pipeline.errors import ConfigError
    from pipeline.validation.validate import CHECKS, check_file

    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise ConfigError(f"{path} does not exist; name OUT/<scene>, or a file")
        files += _outputs(path, tuple(CHECKS)) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{', '.join(paths)}: nothing to validate; name OUT/<scene>, or a file")
    return {str(file): lines for file in files if (lines := check_file(file))}


def _outputs(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the outputs in a folder; what is hidden is work, or an input."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def train(*, config: str, out: str, resume: bool, report: Report) -> dict[str, Any]:
    """Train a model and return the summary.

    Raises:
        ConfigError: What training needs is not installed; and as `pipeline.training.fit.fit`.
    """
    from pipeline.api.extras import optional

    for module in ("lightning", "torchgeo"):
        optional(module, extra="train", purpose="training")
    from pipeline.training.fit import fit

    log = logging.getLogger("pipeline.training")
    log.handlers = [_LogLines(report)]
    log.setLevel(logging.INFO)
    log.propagate = False
    return fit(Path(config), Path(out), resume=resume) or {}


class _LogLines(logging.Handler):
    """Reports log records as progress lines."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record."""
        self._report(self.format(record))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "evaluate": evaluate,
    "map_scenes": map_scenes,
    "region": region,
    "train": train,
    "validate": validate,
}
"""What `call` may name."""
