"""Which regions are served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import load_region
from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.regions.schedule.schedule import trigger

EXAMPLE = "example.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A region's file, and when it is due."""

    file: Path
    """The YAML file."""
    name: str
    """The region's name; the file's path where it cannot be read."""
    schedule: Schedule | None = None
    """When it is mapped; None: not by itself."""
    fault: str | None = None
    """Why it cannot be served."""


def served(places: Sequence[Path]) -> tuple[Served, ...]:
    """Return the regions of files and folders, by path.

    Of a folder: ``*.yaml`` in it, and ``region.yaml`` in the folders below; not
    ``example.yaml``, which is there to be copied. A file that cannot be read has a
    ``fault``, and the others are served.

    Raises:
        ConfigError: No region with a schedule is among them.
    """
    files = sorted({file.resolve() for place in places for file in _files(place)})
    found = _told_apart([_one(file) for file in files])
    if not any(one.schedule for one in found):
        shown = ", ".join(str(place) for place in places)
        faults = "".join(f"; {one.fault}" for one in found if one.fault)
        hint = "; add for example schedule: {cron: '30 2 * * 1', timezone: UTC}"
        if not found:
            hint = f"; put some there ({EXAMPLE} is not served), or name others to serve"
        raise ConfigError(
            f"{shown}: no region with a schedule among {len(found)} region files{faults or hint}"
        )
    return found


def _told_apart(found: Sequence[Served]) -> tuple[Served, ...]:
    """Return the regions; of several of one name none is served, as all would share a ledger."""
    shown: dict[str, list[Path]] = {}
    for one in found:
        shown.setdefault(one.name, []).append(one.file)
    return tuple(
        Served(
            file=one.file,
            name=one.name,
            fault=f"name: {one.name} is also the name of "
            f"{', '.join(str(file) for file in shown[one.name] if file != one.file)}; rename one",
        )
        if len(shown[one.name]) > 1 and one.fault is None
        else one
        for one in found
    )


def _files(place: Path) -> Iterable[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise ConfigError(f"{place}: there is no such file or folder of regions")
    inside = [*place.glob("*.yaml"), *place.glob("*.yml"), *place.glob("*/region.yaml")]
    return [file for file in inside if file.name != EXAMPLE and file.is_file()]


def _one(file: Path) -> Served:
    try:
        region = load_region(file)
        if region.schedule is not None:
            trigger(region.schedule)
    except ConfigError as error:
        return Served(file=file, name=str(file), fault=str(error))
    return Served(file=file, name=region.name, schedule=region.schedule)
