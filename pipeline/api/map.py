"""Map scenes from Python, plan it, and resume calls that were interrupted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.api.child_process.call import call
from pipeline.api.folders import TemporaryFolder
from pipeline.api.inputs import scene_paths, vector_path
from pipeline.api.map_plan import MapPlan
from pipeline.api.options import MapOptions, options_from
from pipeline.api.progress import Progress
from pipeline.api.results import MapResults
from pipeline.errors import ClusterError, ConfigError, ModelError

_interrupted: dict[str, TemporaryFolder] = {}
"""Temporary output folders of calls that did not end, by a digest of their arguments."""


def map(  # noqa: PLR0913 - the verb of the command, and what it is asked most often
    scenes: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    task: str | os.PathLike[str] = "buildings",
    model: str | os.PathLike[str] | None = None,
    aoi: Any = None,
    options: MapOptions | Mapping[str, Any] | None = None,
    progress: Progress = "auto",
) -> MapResults:
    """Map scenes: a mask, probabilities and polygons for each.

    The work is done in a child process, so that GDAL drivers of this one stay as they are. An
    interrupt (Ctrl-C, or the stop button of a notebook) stops it; the same call goes on where it
    stopped.

    Args:
        scenes: A path, glob, folder or URL, an open rasterio dataset, an xarray DataArray with a
            CRS, or a list of these.
        out: Folder in which each scene gets its own; None: a temporary folder that lives as long
            as the results. DataArrays and GeoDataFrames are written below ``.inputs`` in it.
        task: ``"buildings"``, ``"salt"``, ``"bright"``, or a YAML file.
        model: Name or file of a model, instead of the task's.
        aoi: Area of interest: a file, a GeoDataFrame, or ``(geometry, crs)``.
        options: A `MapOptions`, or a mapping of its fields.
        progress: ``"auto"``, None for silence, or a function that is given each line.

    Returns:
        One `MapResult` for each scene; those that failed are in ``.failed``.

    Raises:
        ConfigError: Nothing ran; an argument or a file must be changed.
        ModelError: The model cannot be used.
        ExportError: The disk is full or the folder is read-only.
        LockedError: Another run holds the folder.
        ClusterError: The Dask cluster was lost; what was mapped is kept.

    Example:
        >>> results = overtile.map("scene.tif", "out")                  # doctest: +SKIP
        >>> results[0].polygons.plot()                                  # doctest: +SKIP
    """
    asked = _Asked.of(scenes, out, {"task": task, "model": model, "aoi": aoi}, options)
    if asked.temporary is not None:
        _interrupted[asked.key] = asked.temporary
    try:
        summary = call("map_scenes", asked.arguments(dry=False), progress=progress)
    except (ConfigError, ModelError):
        _interrupted.pop(asked.key, None)
        raise
    _interrupted.pop(asked.key, None)
    if summary.get("stopped"):
        raise ClusterError(summary["stopped"])
    return MapResults.from_summary(summary, keep=asked.temporary)


def plan(  # noqa: PLR0913 - as `map`
    scenes: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    task: str | os.PathLike[str] = "buildings",
    model: str | os.PathLike[str] | None = None,
    aoi: Any = None,
    options: MapOptions | Mapping[str, Any] | None = None,
    progress: Progress = None,
) -> MapPlan:
    """Plan a call of `map` without doing it: tiles, memory, time, warnings and refusals.

    Args:
        scenes: As in `map`.
        out: As in `map`; results that are there already are taken into account.
        task: As in `map`.
        model: As in `map`.
        aoi: As in `map`.
        options: As in `map`.
        progress: As in `map`.

    Returns:
        A row for each scene.

    Raises:
        ConfigError: The run would not even begin.
        ModelError: The model has no valid card.

    Example:
        >>> overtile.plan("scene.tif").table[["scene", "tiles", "estimated_s"]]  # doctest: +SKIP
    """
    asked = _Asked.of(scenes, out, {"task": task, "model": model, "aoi": aoi}, options)
    try:
        return MapPlan.from_summary(
            call("map_scenes", asked.arguments(dry=True), progress=progress)
        )
    finally:
        if asked.temporary is not None and asked.key not in _interrupted:
            asked.temporary.remove()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A call of `map`, with all inputs as files."""

    scenes: list[str]
    """Paths and URLs."""
    out: Path
    """The output folder."""
    settings: dict[str, Any]
    """Everything else."""
    temporary: TemporaryFolder | None
    """The output folder, where the caller named none."""
    key: str
    """Key of this call among those with temporary folders."""

    @classmethod
    def of(cls, scenes: Any, out: Any, chosen: dict[str, Any], options: Any) -> _Asked:
        """Write what is no file yet, and find the folder of the same call that was interrupted."""
        given = options_from(options)
        temporary = TemporaryFolder() if out is None else None
        folder = temporary.path if temporary is not None else Path(os.fspath(out)).absolute()
        paths = scene_paths(scenes, folder)
        settings = {field.name: getattr(given, field.name) for field in fields(MapOptions)}
        for name in ("task", "model"):
            settings[name] = None if chosen[name] is None else os.fspath(chosen[name])
        for name, vector in (("aoi", chosen["aoi"]), ("reference", given.reference)):
            settings[name] = None if vector is None else vector_path(vector, folder, name=name)
        text = json.dumps([str(Path.cwd()), paths, settings]).replace(str(folder), "")
        key = hashlib.sha256(text.encode()).hexdigest()
        if temporary is not None and (before := _interrupted.get(key)) is not None:
            paths, settings = json.loads(
                json.dumps([paths, settings]).replace(str(folder), str(before.path))
            )
            temporary.remove()
            temporary, folder = before, before.path
        return cls(scenes=paths, out=folder, settings=settings, temporary=temporary, key=key)

    def arguments(self, *, dry: bool) -> dict[str, Any]:
        """Return the arguments of the call in the child."""
        return {
            "scenes": self.scenes,
            "out": str(self.out),
            "settings": self.settings,
            "dry": dry,
        }
