"""Results that no layer uses any more, and when they are removed.

``out/scenes`` holds the results of the scenes that the current layer is made of. What a scene had
before its content or the settings changed is removed once the layer with the new results is
published. Results of withdrawn scenes (``withdrawn: drop``) are set aside in ``out/withdrawn``
then, and removed by the next run that finds their scenes withdrawn again: one that comes back
meanwhile, also under another name, is not mapped anew.

The ledger is written first, and names on disk are compared with it: a run that is killed midway
leaves nothing that the next one does not remove.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ExportError
from pipeline.mapping.folders import WORK
from pipeline.outputs.atomic import write_faults
from pipeline.regions.ledger.ledger import Ledger
from pipeline.regions.ledger.records import SceneRow
from pipeline.regions.pending import WorkItem
from pipeline.regions.publish import COMPLETE, RUNS
from pipeline.regions.resolved_region import SCENES, ResolvedRegion

WITHDRAWN = "withdrawn"
"""Folder, below the region's output, of results that are set aside."""
_OURS = re.compile(r".*-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedResults:
    """Counts of unused results that were set aside or removed."""

    set_aside: int
    """Folders of withdrawn scenes that the next run removes."""
    removed: int
    """Folders that were removed."""


def is_dropped(site: ResolvedRegion, row: SceneRow) -> bool:
    """Return whether the layer leaves a scene out because it was withdrawn."""
    return row.state == "withdrawn" and site.region.policies.withdrawn == "drop"


def planned_removals(site: ResolvedRegion, withdrawn: Sequence[SceneRow]) -> dict[str, list[str]]:
    """Return whose results the next run would set aside, and whose remove, for its plan."""
    found: dict[str, list[str]] = {"set_aside": [], "removed": []}
    if site.region.policies.withdrawn == "drop":
        for row in withdrawn:
            if row.folder is not None:
                aside = _folder(site.out / WITHDRAWN, row.folder)
                found["removed" if aside else "set_aside"].append(row.scene)
    return found


def restore_results(
    site: ResolvedRegion, known: Mapping[str, SceneRow], todos: Sequence[WorkItem]
) -> None:
    """Move back results that were set aside and are needed again.

    Raises:
        ExportError: They cannot be moved.
    """
    aside = site.out / WITHDRAWN
    if aside.is_symlink() or not aside.is_dir():
        return
    listed = {todo.candidate.scene for todo in todos}
    keys = {todo.row.wanted for todo in todos}
    stays = site.region.policies.withdrawn == "keep"
    needed = {
        row.folder
        for row in known.values()
        if row.folder and (stays or row.scene in listed or row.key in keys)
    } | {todo.folder for todo in todos}
    for name in sorted(needed):
        if _folder(aside, name) and not (site.out / SCENES / name).exists():
            with write_faults(site.out / SCENES):
                (site.out / SCENES).mkdir(exist_ok=True)
                (aside / name).rename(site.out / SCENES / name)
    with suppress(OSError):
        aside.rmdir()


def remove_unused(
    site: ResolvedRegion, ledger: Ledger, *, withdrawn: Collection[str], layer: str | None
) -> RemovedResults:
    """Remove or set aside results that the current layer does not use.

    Only the process that holds the region's lock may call it, after the run is committed.

    Args:
        site: The region.
        ledger: Its ledger.
        withdrawn: Scenes that this run found withdrawn, in sources that could be listed.
        layer: The layer that the run published or found up to date; None if there is none.

    Raises:
        ExportError: A folder cannot be moved, or one of ours is a link.
    """
    rows = ledger.scenes()
    dropped = [row for row in rows.values() if is_dropped(site, row) and row.folder]
    leave = {row.scene: row for row in dropped if row.scene in withdrawn and layer is not None}
    stay = {row.folder for name, row in rows.items() if row.folder and name not in leave}
    stay |= ledger.folders_of_others()
    scenes, aside = site.out / SCENES, site.out / WITHDRAWN
    leaving = {str(row.folder) for row in leave.values()} - stay
    expired = {name for name in leaving if _folder(aside, name)}
    moved = {name for name in leaving - expired if _folder(scenes, name)}
    old = [aside / name for name in expired] + _unused(aside, stay | leaving)
    if not _is_shared(site, ledger):
        old += _unused(scenes, stay | moved)
    if old or moved:
        _refuse_links(scenes, aside)
    moved -= (stuck := _set_aside(site, moved))
    # The ledger first: whoever is killed now leaves folders that the next run does not know.
    ledger.put([_without_results(row) for row in leave.values() if row.folder not in moved])
    old += [scenes / name for name in stuck]
    for path in sorted(old):
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        aside.rmdir()
    return RemovedResults(set_aside=len(moved), removed=len(old))


def _set_aside(site: ResolvedRegion, names: Collection[str]) -> set[str]:
    """Move results out of the folder of scenes; return what lies on another disk."""
    aside, left = site.out / WITHDRAWN, set[str]()
    for name in sorted(names):
        try:
            aside.mkdir(exist_ok=True)
            (site.out / SCENES / name).rename(aside / name)
        except OSError:
            left.add(name)
    return left


def _unused(folder: Path, stay: Collection[str | None]) -> list[Path]:
    """Return the results in a folder that nothing refers to; never a link or somebody's own."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [
        path
        for path in folder.iterdir()
        if path.name not in stay and path.name != WORK and _OURS.fullmatch(path.name)
        if not path.is_symlink() and path.is_dir()
    ]


def _folder(parent: Path, name: str) -> bool:
    """Return whether there is a folder of this name that is no link."""
    path = parent / name
    return path.is_dir() and not path.is_symlink() and not parent.is_symlink()


def _is_shared(site: ResolvedRegion, ledger: Ledger) -> bool:
    """Return whether a region that this ledger does not know publishes into the same folder."""
    known = {site.region.name, *ledger.regions()}
    for mark in (site.out / RUNS).glob(f"*/{COMPLETE}"):
        with suppress(OSError, ValueError, AttributeError):
            if json.loads(mark.read_text("utf-8")).get("region", site.region.name) not in known:
                return True
    return False


def _refuse_links(*folders: Path) -> None:
    for folder in folders:
        if folder.is_symlink():
            raise ExportError(
                f"{folder} is a link; nothing is removed through links: put a folder there, or "
                "mount its disk there"
            )


def _without_results(row: SceneRow) -> SceneRow:
    return replace(row, key=None, folder=None, coverage=None, pixels=None, km2=None)
