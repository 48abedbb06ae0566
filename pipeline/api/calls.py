"""The functions that a child process runs, by name: JSON values in, JSON values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.redaction import redact_values

Report = Callable[[str], None]
PATHS = frozenset({"out", "folder", "report", "layer"})
"""Keys whose values are opened by the caller, and so are never redacted."""


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
    found: dict[str, Any] = shown(dry_run(request) if dry else run(request, tell=report))
    return found


def shown(value: Any) -> Any:
    """Return a summary without credentials; paths that the caller opens stay as they are."""
    clean = redact_values(value)
    return _with_paths(clean, value)


def _with_paths(clean: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: value[key] if key in PATHS else _with_paths(clean[key], value[key])
            for key in value
        }
    if isinstance(value, list):
        return [_with_paths(one, other) for one, other in zip(clean, value, strict=True)]
    return clean


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
        bands=None if bands is None else tuple(map(str, bands)),
        values=None if values is None else (float(values[0]), float(values[1])),
        scene_options=tuple(sorted((k, v) for k, v in scene_options.items() if v is not None)),
        **given,
    )


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "device": ("auto", "cpu", "cuda", "openvino"),
    "overlap": (None, "first", "last", "newest", "oldest"),
}

FUNCTIONS: dict[str, Callable[..., Any]] = {"map_scenes": map_scenes}
"""What `pipeline.api.child.call` may name."""
