"""STAC items that a region wants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from pipeline.config.interval import parse_interval
from pipeline.config.region import Filter
from pipeline.errors import SceneError
from pipeline.regions.sources.candidate import Candidate, Listing
from pipeline.regions.sources.files import local_token
from pipeline.scenes.access.location import is_remote
from pipeline.scenes.names import redacted
from pipeline.scenes.stac import scene_of_item

Entry = tuple[str, Any]
"""Where an item is, and the item or what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items of a source become scenes."""

    source: str
    """Name of the source."""
    chosen: Filter
    """Date, cloud, asset."""
    area: BaseGeometry | None
    """Area of interest in longitude and latitude."""
    root: Path
    """Folder that local scenes lie in; no link leads to it."""

    def listing(self, entries: Iterable[Entry]) -> Listing:
        """Return the wanted scenes among the entries; broken ones are reported."""
        candidates: list[Candidate] = []
        faults: list[str] = []
        broken: set[str] = set()
        complete = True
        for base, item in entries:
            try:
                if isinstance(item, SceneError):
                    raise item  # what is behind a link that does not answer has not left
                found = self.candidate(item, base)
            except SceneError as error:
                faults.append(str(error))
                known = self.name(item)
                broken |= {known} if known else set()
                complete = complete and known is not None
                continue
            if found is not None:
                candidates.append(found)
        return Listing(
            source=self.source,
            candidates=tuple(candidates),
            faults=tuple(faults),
            broken=frozenset(broken),
            complete=complete,
        )

    def candidate(self, item: Any, base: str) -> Candidate | None:
        """Return the scene of an item, or None where it is not wanted.

        Raises:
            SceneError: It is no item, or its scene may not be read.
        """
        try:
            if not self._meets(item):
                return None
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            shown = redacted(base)
            raise SceneError(shown, f"its item is broken ({error})", "mend the item") from error
        ref = scene_of_item(item, base=base, asset=self.chosen.asset)
        facts = item.get("properties") or {}
        angle = facts.get("view:off_nadir")
        token: str | None
        if is_remote(ref.href):
            checksum = dict(ref.options).get("sha256")
            token = f"sha256:{checksum}" if checksum else None
        else:
            if not ref.href.startswith(f"{self.root}/"):
                raise SceneError(base, f"its scene lies outside {self.root}", "give another --root")
            token = local_token(ref)
        return Candidate(
            scene=str(self.name(item)),
            source=self.source,
            ref=ref,
            token=token,
            off_nadir=float(angle)
            if isinstance(angle, int | float) and math.isfinite(angle)
            else None,
        )

    def name(self, item: Any) -> str | None:
        """Return the name of an item's scene in the region; None where it has none."""
        if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
            return None
        return f"{self.source}: {item.get('collection') or ''}/{item['id']}"

    def _meets(self, item: Mapping[str, Any]) -> bool:
        facts = item.get("properties") or {}
        cloud = facts.get("eo:cloud_cover")
        limit = self.chosen.max_cloud
        if limit is not None and cloud is not None and float(cloud) > limit:
            return False
        if self.area is not None and item.get("bbox"):
            sides = [float(side) for side in item["bbox"]]
            half = len(sides) // 2
            west, south, east, north = sides[0], sides[1], sides[half], sides[half + 1]
            parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
            if not any(self.area.intersects(box(w, south, e, north)) for w, e in parts):
                return False
        return self.chosen.datetime is None or _within(facts, self.chosen.datetime)


def _within(facts: Mapping[str, Any], text: str) -> bool:
    """Return whether an item's time meets an interval; one without any does not."""
    first = facts.get("datetime") or facts.get("start_datetime")
    last = facts.get("datetime") or facts.get("end_datetime") or first
    if first is None:
        return False
    begin, end = (datetime.fromisoformat(str(when)) for when in (first, last))
    if begin.tzinfo is None or end.tzinfo is None:
        raise ValueError(f"datetime {first!r} has no time zone")
    after, before = parse_interval(text)
    return (after is None or end >= after) and (before is None or begin <= before)
