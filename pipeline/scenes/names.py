"""Names of scenes in folders and messages."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote

from pipeline.core.redaction import place_of, without_credentials
from pipeline.scenes.scene import SceneRef

_LONGEST = 80
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def short_hash(text: str, digits: int = 8) -> str:
    """Return the first hexadecimal digits of a text's sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]


def slug(text: str) -> str:
    """Return a name that is safe as a folder on any system.

    Letters of every script, digits, ``.``, ``-`` and ``_`` stay; runs of anything
    else become one ``_``. Whatever would be empty, hidden, reserved or too long
    carries a short hash, so that different texts keep different names.
    """
    plain = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w.-]+", "_", plain, flags=re.UNICODE).strip("._-")
    if not name or _DEVICES.fullmatch(name):
        return f"scene_{short_hash(text)}"
    if len(name.encode()) > _LONGEST:
        kept = name.encode()[: _LONGEST - 9].decode(errors="ignore").rstrip("._-")
        return f"{kept}_{short_hash(text)}"
    return name


def redacted(href: str) -> str:
    """Return a URL without user, password, query and fragment; a path as it is."""
    return without_credentials(href)


def unique(names: Sequence[str], places: Sequence[str]) -> list[str]:
    """Return names that differ even where letters' case does not count.

    Args:
        names: What the scenes are called.
        places: Where each comes from; decides the hash of those that share a name.
    """
    shared = Counter(name.casefold() for name in names)
    return [
        name if shared[name.casefold()] == 1 else f"{name}_{short_hash(place)}"
        for name, place in zip(names, places, strict=True)
    ]


def stem(ref: SceneRef) -> str:
    """Return what a scene is called: its option ``name``, or its file's name without suffix."""
    path = ref.href
    if "://" in path:
        path = unquote(redacted(path).partition("://")[2].partition("/")[2])
    return dict(ref.options).get("name") or PurePath(path).stem


def source_of(ref: SceneRef) -> str:
    """Return how messages and manifests name a scene: its path or URL, without credentials."""
    parts = () if ref.mosaic is None or ref.mosaic.file else ref.mosaic.parts
    return redacted(ref.href) + (f" and {len(parts) - 1} more" if parts[1:] else "")


def scene_place(ref: SceneRef) -> str:
    """Return the identity of a scene: path or URL, and the number of its slice.

    Of a URL what signs it or authorises is left out: a renewed signature is the same scene.
    """
    alone = ref.mosaic is None or bool(ref.mosaic.file)
    hrefs = [ref.href] if alone or ref.mosaic is None else [one.href for one in ref.mosaic.parts]
    place = "\n".join(place_of(href) for href in hrefs)
    return f"{place}#{dict(ref.options).get('number', '')}"
