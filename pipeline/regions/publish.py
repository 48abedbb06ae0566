"""Runs that appear whole, one of them the current one, old ones removed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_atomically, write_faults

RUNS, CURRENT, COMPLETE = "runs", "current.json", "complete.json"
_TRASH = ".removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The run that a region's folder shows."""

    run: str
    """Its name: runs sort by it, the latest last."""
    folder: Path
    """Where its files are."""
    about: dict[str, Any]
    """Metadata of the published run."""


def run_folder(region: Path, run: str) -> Path:
    """Return the folder of a run, made where it is missing.

    Raises:
        ExportError: It could not be made.
    """
    folder = region / RUNS / run
    with write_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish_run(region: Path, run: str, about: dict[str, Any]) -> Published:
    """Make a finished run the current one.

    Its folder is marked as complete first; then ``current.json`` is replaced, so that
    readers see the run before or this one, at any instant. Doing it again changes nothing.

    Args:
        region: The region's folder.
        run: A run whose files are all written.
        about: What readers of ``current.json`` shall know: files, counts.

    Raises:
        ConfigError: There is no such run.
        ExportError: A file could not be written.
    """
    folder = region / RUNS / run
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not there; finish the run, then publish it")
    _write(folder / COMPLETE, {"run": run, **about})
    _write(region / CURRENT, {"run": run, "folder": f"{RUNS}/{run}", **about})
    return Published(run=run, folder=folder, about=about)


def current_run(region: Path) -> Published | None:
    """Return the run that a region shows; None where none was published.

    Raises:
        ConfigError: ``current.json`` cannot be read, or its run is not there.
    """
    pointer = region / CURRENT
    if not pointer.is_file():
        return None
    try:
        about = json.loads(pointer.read_text(encoding="utf-8"))
        run, folder = str(about.pop("run")), region / str(about.pop("folder"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{pointer} cannot be read: {error}; remove it and run the region again"
        ) from error
    if not (folder / COMPLETE).is_file():
        raise ConfigError(f"{pointer} names {folder}, which is not there; run the region again")
    return Published(run=run, folder=folder, about=about)


def published_runs(region: Path) -> list[str]:
    """Return the names of all complete runs, the latest last."""
    return sorted(mark.parent.name for mark in (region / RUNS).glob(f"*/{COMPLETE}"))


def last_on_disk(region: Path) -> int:
    """Return the highest number of a run's folder; 0 where there is none."""
    names = [folder.name for folder in (region / RUNS).glob("[0-9]*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def remove_old_runs(region: Path, *, keep: int, working: str | None = None) -> list[str]:
    """Remove old runs, and what killed ones left; return their names.

    The current run, the ``keep`` latest complete ones and the run at work stay.

    Args:
        region: The region's folder, whose lock the caller holds.
        keep: Complete runs that stay, at least one.
        working: A run that is not complete yet.

    Raises:
        ConfigError: ``keep`` is less than one.
        ExportError: A folder could not be removed.
    """
    if keep < 1:
        raise ConfigError(f"retention is {keep} runs, and must be 1 or more")
    shown = current_run(region)
    stay = {*published_runs(region)[-keep:], working, shown.run if shown else None}
    runs = region / RUNS
    with write_faults(runs):
        trash = runs / _TRASH
        shutil.rmtree(trash, ignore_errors=True)
        old = sorted(f for f in runs.glob("[!.]*") if f.is_dir() and f.name not in stay)
        for folder in old:
            # Out of sight first: a run that is half removed is never taken for a whole one.
            trash.mkdir(exist_ok=True)
            folder.rename(trash / folder.name)
        if trash.exists():
            shutil.rmtree(trash)
    return [folder.name for folder in old]


def _write(path: Path, value: dict[str, Any]) -> None:
    with write_atomically(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
