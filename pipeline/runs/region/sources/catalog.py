"""Scenes of a static STAC catalogue, read along its links."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Catalog, inside
from pipeline.errors import SceneError
from pipeline.runs.region.sources.candidate import Candidate, Listing
from pipeline.runs.region.sources.items import Wanted
from pipeline.scenes import gdal
from pipeline.scenes.location import gdal_path, is_remote, open_bytes
from pipeline.scenes.names import redacted
from pipeline.scenes.stac import MAX_ITEM_BYTES, allowed_href

_MOST = 1_000_000
_AT_ONCE = 8
Entry = tuple[str, Any]
"""Where an item is, and the item or what is wrong with it."""


def list_catalog(source: Catalog, *, root: Path, area: BaseGeometry | None) -> Listing:
    """Return the wanted scenes of a catalogue; broken items are told, the others go on.

    Raises:
        ConfigError: The catalogue's path leads out of ``root``.
    """
    name = f"catalog {redacted(source.href)}"
    start = source.href
    if not is_remote(start):
        start = str(inside(root, start, field="sources.href"))
    wanted = Wanted(source=name, chosen=source, area=area, root=root)
    candidates: list[Candidate] = []
    faults: list[str] = []
    complete = True
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for base, item in _walk(start, pool):
            try:
                if isinstance(item, SceneError):
                    # What is behind a link that does not answer has not left.
                    complete = False
                    raise item
                found = wanted.candidate(item, base)
            except SceneError as error:
                faults.append(str(error))
                continue
            if found is not None:
                candidates.append(found)
    return Listing(
        source=name, candidates=tuple(candidates), faults=tuple(faults), complete=complete
    )


def _walk(start: str, pool: ThreadPoolExecutor) -> Iterator[Entry]:
    seen, waiting = {start}, [start]
    while waiting:
        base, found = _read(waiting.pop())
        if not isinstance(found, dict):
            yield base, found if isinstance(found, SceneError) else _no_catalogue(base)
            continue
        if found.get("type") == "Feature":
            yield base, found
            continue
        if found.get("type") == "FeatureCollection":
            yield from ((base, item) for item in found.get("features") or [])
            continue
        items: list[str] = []
        for link in found.get("links") or []:
            rel = link.get("rel") if isinstance(link, dict) else None
            if rel not in ("item", "child"):
                continue
            try:
                place = _followed(str(link.get("href", "")), base)
            except SceneError as error:
                yield base, error
                continue
            if place not in seen and len(seen) < _MOST:
                seen.add(place)
                (items if rel == "item" else waiting).append(place)
        yield from (pool.map if is_remote(base) else map)(_read, items)


def _followed(href: str, base: str) -> str:
    # Links of a catalogue on a server may be absolute within it.
    return allowed_href(urljoin(base, href) if is_remote(base) else href, base=base)


def _no_catalogue(base: str) -> SceneError:
    return SceneError(redacted(base), "it is JSON, but no STAC", "name a catalogue")


def _read(href: str) -> Entry:
    shown = redacted(href)
    try:
        if is_remote(href):  # a process that lives long would go on with what it read before
            gdal.library().VSICurlPartialClearCache(gdal_path(href).encode())
        data = open_bytes(href)
        try:
            if data.size > MAX_ITEM_BYTES:
                raise ValueError(f"{data.size} bytes, the limit is {MAX_ITEM_BYTES}")
            return href, json.loads(data.read(0, data.size))
        finally:
            data.close()
    except SceneError as error:
        return href, error
    except (ValueError, RecursionError, OSError) as error:
        return href, SceneError(shown, f"it is not JSON ({error})", "mend the catalogue")
