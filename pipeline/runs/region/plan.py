"""What a region's run would do: which scenes are new, changed, due again, or done."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Policies
from pipeline.errors import SceneError
from pipeline.outputs.stac import frame
from pipeline.runs.publish import MANIFEST
from pipeline.runs.region.ledger import NAME, open_ledger
from pipeline.runs.region.records import SceneRow
from pipeline.runs.region.site import SCENES, Site, digest
from pipeline.runs.region.sources import Candidate, Listing, listings
from pipeline.scenes.guard import install_guard
from pipeline.scenes.names import slug, stem
from pipeline.scenes.open import fingerprint, open_scene

_WEEK_S = 7 * 86_400.0
_AT_ONCE = 8
State = Literal["map", "link", "done", "waiting", "given up", "outside", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """What is to be done about a scene."""

    candidate: Candidate
    """The scene."""
    state: State
    """``map``; ``link``: another scene has the same content; the others cost nothing."""
    why: str
    """New, changed, failed before, ..."""
    row: SceneRow
    """What the ledger shall say of it."""

    @property
    def folder(self) -> str:
        """Name of the folder of its results: never that of other content or settings."""
        return f"{slug(stem(self.candidate.ref))}-{(self.row.wanted or '')[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """What a run would do."""

    todos: tuple[Todo, ...]
    """One for each listed scene, by name."""
    withdrawn: tuple[SceneRow, ...]
    """Scenes that their source no longer lists."""
    faults: tuple[str, ...]
    """What is wrong with sources and their entries."""


def plan_region(site: Site, known: Mapping[str, SceneRow], *, now: float) -> RegionPlan:
    """Return what a run would do. No model is loaded, and what did not change is not read.

    Args:
        site: The region.
        known: What the ledger says.
        now: Seconds since 1970.

    Raises:
        ConfigError: The region's file must be changed.
    """
    install_guard()
    found = listings(site.region, root=site.root, area=site.area)
    candidates = sorted((c for one in found for c in one.candidates), key=lambda c: c.scene)
    policies = site.region.policies
    asked = [one for one in candidates if not _same(one, known.get(one.scene))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        prints = dict(zip((c.scene for c in asked), pool.map(_print, asked), strict=True))
    finished = {row.key: row for row in known.values() if row.key and _there(site, row)}
    todos = []
    for candidate in candidates:
        todo = _todo(site, candidate, known.get(candidate.scene), prints.get(candidate.scene))
        if todo.state == "map":
            todo = _settled(site, todo, known.get(candidate.scene), finished, policies, now)
            if todo.state == "map" and todo.row.wanted is not None:
                # Twins among the new ones: the first is mapped, the others follow it.
                finished.setdefault(todo.row.wanted, replace(todo.row, folder=todo.folder))
        todos.append(todo)
    withdrawn = _withdrawn(found, known)
    return RegionPlan(
        todos=tuple(todos),
        withdrawn=withdrawn,
        faults=tuple(fault for one in found for fault in one.faults),
    )


def plan_summary(site: Site, *, now: float) -> dict[str, Any]:
    """Return what a run would do, for `overtile region plan`; nothing is written.

    Raises:
        ConfigError: The region's file must be changed, or the ledger cannot be read.
    """
    known: Mapping[str, SceneRow] = {}
    if site.ledger_url is not None or (site.out / NAME).is_file():
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            known = ledger.scenes()
        finally:
            ledger.close()
    plan = plan_region(site, known, now=now)
    counts: dict[str, int] = {}
    for todo in plan.todos:
        counts[todo.state] = counts.get(todo.state, 0) + 1
    return {
        "region": site.region.name,
        "counts": dict(sorted(counts.items())),
        "scenes": [
            {"scene": t.candidate.scene, "state": t.state, "why": t.why}
            | {"key": t.row.wanted, "attempts": t.row.attempts}
            for t in plan.todos
        ],
        "withdrawn": [row.scene for row in plan.withdrawn],
        "faults": list(plan.faults),
        "failed": len(plan.faults) + counts.get("unreadable", 0),
    }


def _same(candidate: Candidate, row: SceneRow | None) -> bool:
    """Return whether the content is known without looking."""
    return (
        row is not None
        and candidate.token is not None
        and row.token == candidate.token
        and row.fingerprint is not None
    )


def _print(candidate: Candidate) -> str | SceneError:
    checksum = dict(candidate.ref.options).get("sha256")
    if checksum and "://" in candidate.ref.href:
        return f"sha256:{checksum}"
    try:
        return fingerprint(candidate.ref)
    except SceneError as error:
        return error


def _todo(
    site: Site, candidate: Candidate, row: SceneRow | None, asked: str | SceneError | None
) -> Todo:
    base = row or SceneRow(scene=candidate.scene, source=candidate.source, state="new")
    if isinstance(asked, SceneError):
        failed = replace(base, source=candidate.source, reason=str(asked))
        return Todo(candidate=candidate, state="unreadable", why=str(asked), row=failed)
    content = asked or base.fingerprint or ""
    options = dict(candidate.ref.options)
    options.pop("name", None)
    options.pop("sha256", None)
    key = digest([content, site.settings, sorted(options.items())])
    fresh = replace(
        base,
        source=candidate.source,
        token=candidate.token,
        fingerprint=content,
        wanted=key,
        off_nadir=candidate.off_nadir,
    )
    why = "new" if row is None or row.fingerprint is None else "changed"
    if row is not None and row.fingerprint == content and row.wanted != key:
        why = "other settings"
    if row is None or row.wanted != key:
        fresh = replace(fresh, attempts=0, tried_at=None, reason=None)
    return Todo(candidate=candidate, state="map", why=why, row=fresh)


def _settled(
    site: Site,
    todo: Todo,
    row: SceneRow | None,
    finished: Mapping[str, SceneRow],
    policies: Policies,
    now: float,
) -> Todo:
    """Return what to do about a scene whose content is known."""
    key = todo.row.wanted or ""
    if row is not None and row.wanted == key and row.state == "outside":
        return replace(todo, state="outside", why="outside the area of interest")
    if row is not None and row.wanted == key and row.attempts > 0:
        return _tried(todo, row, policies, now)
    if row is not None and row.key == key:
        if key in finished:
            return replace(todo, state="done", why="unchanged")
        return replace(todo, why="its results are gone")
    if key in finished:
        return replace(todo, state="link", why=f"same content as {finished[key].scene}")
    if site.area is not None:
        try:
            if not _meets(todo.candidate, site.area):
                return replace(todo, state="outside", why="outside the area of interest")
        except SceneError as error:
            # Its mapping will fail in the same words, and count against the budget.
            return replace(todo, why=f"{todo.why}; {error}")
    return todo


def _tried(todo: Todo, row: SceneRow, policies: Policies, now: float) -> Todo:
    """Return whether what failed is due; a clock set back makes it due at once."""
    if row.attempts > policies.retries:
        return replace(todo, state="given up", why=f"failed {row.attempts} times: {row.reason}")
    wait = min(policies.backoff_s * 2.0 ** (row.attempts - 1), _WEEK_S)
    if row.tried_at is not None and row.tried_at <= now < row.tried_at + wait:
        left = round(row.tried_at + wait - now)
        return replace(todo, state="waiting", why=f"failed, again in {left} s: {row.reason}")
    return replace(todo, why=f"failed {row.attempts} times: {row.reason}")


def _meets(candidate: Candidate, area: BaseGeometry) -> bool:
    scene = open_scene(candidate.ref)
    try:
        info = scene.info
    finally:
        scene.close()
    if info.georef is None:
        return True
    outline = frame(info.georef, height=info.height, width=info.width)
    outline = outline[np.isfinite(outline).all(axis=1)]
    if len(outline) < 3:
        return True
    return bool(area.intersects(shapely.make_valid(shapely.Polygon(outline))))


def _there(site: Site, row: SceneRow) -> bool:
    return row.folder is not None and (site.out / SCENES / row.folder / MANIFEST).is_file()


def _withdrawn(found: list[Listing], known: Mapping[str, SceneRow]) -> tuple[SceneRow, ...]:
    """Return scenes that a source had and no longer lists; not those it could not tell of."""
    listed = {candidate.scene for one in found for candidate in one.candidates}
    unsure = {one.source for one in found if not one.complete or not one.candidates}
    return tuple(
        row
        for name, row in sorted(known.items())
        if name not in listed and row.source not in unsure
    )
