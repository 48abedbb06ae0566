"""Scenes of a static STAC catalogue, read along its links."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Catalog, resolve_path
from pipeline.errors import SceneError
from pipeline.gdal import bindings as gdal
from pipeline.regions.sources.candidate import Listing
from pipeline.regions.sources.items import Entry, ItemFilter
from pipeline.scenes.access.location import gdal_path, is_remote, open_bytes
from pipeline.scenes.names import redacted
from pipeline.scenes.stac import MAX_ITEM_BYTES, allowed_href

_MOST = 1_000_000
_AT_ONCE = 8


def list_catalog(source: Catalog, *, root: Path, area: BaseGeometry | None) -> Listing:
    """Return the wanted scenes of a catalogue; broken items are reported, the others are used.

    Raises:
        ConfigError: The catalogue's path leads out of ``root``.
    """
    name = f"catalog {redacted(source.href)}"
    start = source.href
    if not is_remote(start):
        start = str(resolve_path(root, start, field="sources.href"))
    wanted = ItemFilter(source=name, chosen=source, area=area, root=root.resolve())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return wanted.listing(_walk(start, pool))


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
            features = _list(found, "features")
            yield from ((base, item) for item in features or ())
            if features is None:
                yield base, _no_catalogue(base)
            continue
        items: list[str] = []
        for rel, place in _links(found, base):
            if isinstance(place, SceneError):
                yield base, place
            elif place not in seen and len(seen) < _MOST:
                seen.add(place)
                (items if rel == "item" else waiting).append(place)
        yield from (pool.map if is_remote(base) else map)(_read, items)


def _links(found: dict[str, Any], base: str) -> Iterator[tuple[str, str | SceneError]]:
    """Yield what each link to an item or child is, and where it leads or why it is broken."""
    links = _list(found, "links")
    if links is None:
        yield "item", _no_catalogue(base)
    for link in links or []:
        rel = link.get("rel") if isinstance(link, dict) else None
        if rel in ("item", "child"):
            try:
                yield rel, _followed(str(link.get("href", "")), base)
            except (SceneError, ValueError) as error:  # ValueError: of urllib, an odd host
                text = error if isinstance(error, SceneError) else _no_catalogue(base)
                yield rel, text


def _list(found: dict[str, Any], name: str) -> list[Any] | None:
    """Return a list of a catalogue, empty where it is left out; None where it is none."""
    value = found.get(name) or []
    return value if isinstance(value, list) else None


def _followed(href: str, base: str) -> str:
    # Links of a catalogue on a server may be absolute within it.
    return allowed_href(urljoin(base, href) if is_remote(base) else href, base=base)


def _no_catalogue(base: str) -> SceneError:
    return SceneError(redacted(base), "it is JSON, but no STAC", "name a catalogue")


def _read(href: str) -> Entry:
    shown = redacted(href)
    try:
        if is_remote(href):  # a process that lives long would go on with what it read before
            gdal.raster_library().VSICurlPartialClearCache(gdal_path(href).encode())
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
