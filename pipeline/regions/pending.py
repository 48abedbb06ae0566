"""Whether a scene is due: it is new, has changed, or may be tried again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Policies
from pipeline.core.redaction import redact
from pipeline.errors import SceneError
from pipeline.outputs.catalogue.stac import scene_outline
from pipeline.regions.ledger.records import SceneRow
from pipeline.regions.resolved_region import ResolvedRegion, settings_digest
from pipeline.regions.sources import Candidate
from pipeline.scenes.names import slug, stem
from pipeline.scenes.open import open_scene

OTHER = "other settings"
"""Why a scene whose content is known is mapped again."""
_DOUBLINGS = 30
"""Waits are not doubled more often: the week is reached long before."""
_WEEK_S = 7 * 86_400.0
State = Literal["map", "link", "done", "waiting", "given up", "outside", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """What is to be done about a scene."""

    candidate: Candidate
    """The scene."""
    state: State
    """``map``; ``link``: another scene has the same content; the others cost nothing."""
    why: str
    """New, changed, failed before, ..."""
    row: SceneRow
    """State to be recorded in the ledger."""

    @property
    def folder(self) -> str:
        """Name of the folder of its results: never that of other content or settings."""
        return f"{slug(stem(self.candidate.ref))}-{(self.row.wanted or '')[:12]}"


def work_item(
    site: ResolvedRegion, candidate: Candidate, row: SceneRow | None, asked: str | SceneError | None
) -> WorkItem:
    """Return what is to be done about a scene by its content alone: to map it, if it can be read.

    Args:
        site: The region.
        candidate: The scene as its source lists it.
        row: Its record in the ledger.
        asked: Digest of its content, or why it has none; None where it is the ledger's.
    """
    base = row or SceneRow(scene=candidate.scene, source=candidate.source, state="new")
    if isinstance(asked, SceneError):
        reason = redact(str(asked))
        failed = replace(base, source=candidate.source, reason=reason)
        return WorkItem(candidate=candidate, state="unreadable", why=reason, row=failed)
    content = asked or base.fingerprint or ""
    options = dict(candidate.ref.options)
    options.pop("name", None)
    options.pop("sha256", None)
    key = settings_digest([content, site.settings, sorted(options.items())])
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
        why = OTHER
    if row is None or row.wanted != key:
        fresh = replace(fresh, attempts=0, tried_at=None, reason=None)
    return WorkItem(candidate=candidate, state="map", why=why, row=fresh)


def resolve_work_item(
    site: ResolvedRegion,
    todo: WorkItem,
    row: SceneRow | None,
    finished: Mapping[str, SceneRow],
    policies: Policies,
    now: float,
) -> WorkItem:
    """Return what to do about a scene whose content is known."""
    key = todo.row.wanted or ""
    if row is not None and row.wanted == key and row.state == "outside":
        return replace(todo, state="outside", why="outside the area of interest")
    if row is not None and row.wanted == key and row.attempts > 0:
        return _tried(todo, row, policies, now)
    if row is not None and row.key == key:
        if key in finished:
            return replace(todo, state="done", why="unchanged")
        return replace(todo, why="its results are missing")
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


def _tried(todo: WorkItem, row: SceneRow, policies: Policies, now: float) -> WorkItem:
    """Return whether what failed is due; a clock set back makes it due at once."""
    if row.attempts > policies.retries:
        text = f"failed {row.attempts} times, `run --retry` tries again: {row.reason}"
        return replace(todo, state="given up", why=text)
    doubled = 2.0 ** min(row.attempts - 1, _DOUBLINGS)
    wait = min(policies.backoff_s * doubled, _WEEK_S)
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
    outline = scene_outline(info.georef, height=info.height, width=info.width)
    outline = outline[np.isfinite(outline).all(axis=1)]
    if len(outline) < 3:
        return True
    return bool(area.intersects(shapely.make_valid(shapely.Polygon(outline))))


def changed_settings(site: ResolvedRegion, before: str | None) -> str:
    """Return which settings are not those of an earlier run, for people.

    Args:
        site: The region.
        before: ``settings`` of that run.
    """
    try:
        known = json.loads(before or "{}")
        changed = [name for name, value in site.parts.items() if known.get(name, value) != value]
    except (ValueError, AttributeError):
        changed = []
    return f"other {' and '.join(changed)}" if changed else OTHER
