"""STAC items: which of an item's files is the scene, and may it be read at all.

An item is foreign input. Its href may be relative, or a URL of a public
host; never a name that only GDAL understands (``vrt://``, ``/vsi...``, inline
XML), nor a path outside the folder of the item.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from pipeline.errors import SceneError
from pipeline.scenes.access.location import JPEG_2000, is_remote, open_bytes
from pipeline.scenes.access.redirects import is_public
from pipeline.scenes.kinds import GEOTIFF, kind_of
from pipeline.scenes.names import redacted
from pipeline.scenes.scene import SceneRef

MAX_ITEM_BYTES = 64 * 2**20

_NOT_PIXELS = frozenset({"thumbnail", "overview", "metadata", "data-mask", "cloud", "snow-ice"})
_SCHEMES = frozenset({"https", "s3", "gs"})
_SHA256 = "1220"  # multihash: sha2-256, 32 bytes


def stac_scenes(
    href: str, *, asset: str = "", failures: list[SceneError] | None = None
) -> tuple[SceneRef, ...]:
    """Return the scene of a STAC item, or the scenes of a collection of items.

    Args:
        href: Absolute path or URL of the JSON.
        asset: Name of the asset to map; chosen by media type and role if not given.
        failures: Takes what is wrong with single items of a collection; the others go on.

    Raises:
        SceneError: It is no STAC item, or its asset is missing or not allowed.
    """
    data = open_bytes(href)
    shown = redacted(href)
    try:
        if data.size > MAX_ITEM_BYTES:
            fault = f"it has {data.size} bytes, the limit for an item is {MAX_ITEM_BYTES}"
            raise SceneError(shown, fault, "name the scene itself")
        content = json.loads(data.read(0, data.size))
    except (ValueError, RecursionError, OSError) as error:
        raise SceneError(shown, f"it is not JSON ({error})", "name a STAC item") from error
    finally:
        data.close()
    items: Sequence[Any] = [content]
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        features = content.get("features")
        items = features if isinstance(features, list) else []
        if not items:
            raise SceneError(shown, "it is a collection without items", "name an item with assets")
    refs = []
    for item in items:
        try:
            refs.append(scene_of_item(item, base=href, asset=asset))
        except SceneError as error:
            if failures is None or len(items) == 1:
                raise
            failures.append(error)
    return tuple(refs)


def scene_of_item(item: object, *, base: str, asset: str = "") -> SceneRef:
    """Return the scene of an item.

    Args:
        item: The item as parsed JSON.
        base: Where the item itself is, absolute path or URL; relative hrefs start there.
        asset: Name of the asset to map; chosen by media type and role if not given.

    Raises:
        SceneError: It is no item, or its asset is missing or not allowed.
    """
    shown = redacted(base)
    if not (
        isinstance(item, Mapping)
        and item.get("type") == "Feature"
        and isinstance(item.get("id"), str)
        and isinstance(item.get("assets"), Mapping)
    ):
        raise SceneError(shown, "it is JSON, but no STAC item", "name an item with assets")
    try:
        chosen = _choose(shown, item["assets"], asset)
        place = allowed_href(str(chosen["href"]), base=base)
    except ValueError as error:  # brackets in a host, half a character
        reason = f"one of the item's hrefs is no path or URL ({error})"
        raise SceneError(shown, reason, "name the scene itself") from error
    properties = item.get("properties")
    facts = properties if isinstance(properties, Mapping) else {}
    moment = facts.get("datetime") or facts.get("start_datetime")
    options = {"name": item["id"].encode(errors="replace").decode()}
    if isinstance(moment, str):
        options["datetime"] = moment
    checksum = chosen.get("file:checksum")
    if isinstance(checksum, str) and checksum.startswith(_SHA256):
        options["sha256"] = checksum.removeprefix(_SHA256).lower()
    return SceneRef(kind=kind_of(place), href=place, options=tuple(sorted(options.items())))


def _choose(shown: str, assets: Mapping[str, Any], wanted: str) -> Mapping[str, Any]:
    usable = {
        name: asset
        for name, asset in assets.items()
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str)
    }
    if wanted:
        if wanted in usable:
            return usable[wanted]
        raise SceneError(
            shown, f"the item has no asset '{wanted}'", f"choose one of {sorted(usable)}"
        )
    ranked = sorted((_rank(name, asset), name) for name, asset in usable.items())
    best = [name for rank, name in ranked if rank == ranked[0][0] and rank < 9]
    if not best:
        raise SceneError(
            shown,
            f"the item has no GeoTIFF or JPEG 2000 among its {len(assets)} assets",
            "name an asset with asset=...",
        )
    if len(best) > 1:
        raise SceneError(
            shown, f"the item has {len(best)} scenes: {best[:12]}", "choose one with asset=..."
        )
    return usable[best[0]]


def _rank(name: str, asset: Mapping[str, Any]) -> int:
    """Return how likely an asset is the picture to map: 0 most, 9 not at all."""
    media = str(asset.get("type") or "").lower()
    path = urlsplit(str(asset["href"])).path.lower()
    tiff = "tiff" in media or (not media and path.endswith(GEOTIFF))
    jp2 = media.startswith(("image/jp2", "image/jpx")) or (not media and path.endswith(JPEG_2000))
    if not tiff and not jp2:
        return 9
    # Of an asset in both forms the GeoTIFF is taken.
    later = 0 if tiff else 3
    listed = asset.get("roles")
    roles = set(map(str, listed)) if isinstance(listed, list) else set()
    if roles & _NOT_PIXELS:
        return 9
    if "visual" in roles or name == "visual":
        return later
    return later + (1 if "data" in roles or name in ("data", "image") else 2)


def allowed_href(href: str, *, base: str) -> str:
    """Return where an item's href leads, if it may be read.

    Args:
        href: As in the item.
        base: Where the item is.

    Raises:
        SceneError: It leads outside the item's folder, to a private host, or is a
            name that only GDAL understands.
    """
    shown = redacted(base)
    scheme, separator, _ = href.partition("://")
    if any(ord(sign) < 32 for sign in href) or href.lstrip()[:1] in ("<", "{") or not href:
        raise _refused(shown, href, "is no path or URL")
    if is_remote(base) and not separator:
        href, separator = urljoin(base, href), "://"
        scheme = href.partition("://")[0]
    if separator:
        host = urlsplit(href).hostname or ""
        here = urlsplit(base).hostname if is_remote(base) else None
        if host == here and scheme == urlsplit(base).scheme:
            return href
        if scheme.lower() not in _SCHEMES:
            raise _refused(shown, href, f"uses {scheme}://, allowed are {sorted(_SCHEMES)}")
        if scheme.lower() == "https" and not is_public(host):
            raise _refused(shown, href, f"leads to the private host '{host}'")
        return href
    # Plain strings: a catalogue may have ten thousand items.
    folder = os.path.dirname(os.path.realpath(base))  # noqa: PTH120
    path = os.path.realpath(f"{folder}/{href}" if not href.startswith("/") else href)
    if href.startswith("/vsi") or not path.startswith(f"{folder.rstrip('/')}/"):
        raise _refused(shown, href, f"leads outside the item's folder {folder}")
    return path


def _refused(shown: str, href: str, why: str) -> SceneError:
    return SceneError(
        shown, f"the item's href '{redacted(href)[:120]}' {why}", "name the scene itself"
    )
