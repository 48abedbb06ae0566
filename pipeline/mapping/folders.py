"""The folder of each scene below OUT: a scene keeps it, alone or beside others of its name.

``OUT/<name>`` where no other scene has that name, ``OUT/<name>_<digest of its place>`` where
another has, in OUT or in the same command. Once there are results, or a run has begun, the scene
is known by its path or URL, and finds the same folder again: in whatever batch it comes, in
whatever order, and with whatever signature its URL has.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SceneError
from pipeline.mapping.publish import manifest_of
from pipeline.outputs.atomic import write_atomically
from pipeline.scenes.archive.find import is_there
from pipeline.scenes.names import scene_place, short_hash, slug, source_of, stem
from pipeline.scenes.open import fingerprint
from pipeline.scenes.scene import SceneRef

WORK = ".work"
_SOURCE = "source"
"""File in a scene's folder of unfinished work, which names the scene."""
_DIGEST = re.compile(r"_(?:[0-9a-f]{64}|[0-9a-f]{16}|[0-9a-f]{8})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedScene:
    """A scene that needs a folder."""

    name: str
    """What it is called: its file's name without suffix, or its item's id, fit for a folder."""
    place: str
    """Identity among scenes of that name: path or URL, number of the slice."""
    source: str
    """How manifests name it."""
    content: Callable[[], str | None]
    """Returns the digest of its content; None where it cannot be read."""


def scene_folders(out: Path, refs: Sequence[SceneRef]) -> list[str]:
    """Return the name of each scene's folder below ``out``."""
    return folders(out, [_named(ref) for ref in refs])


def folders(out: Path, scenes: Sequence[NamedScene]) -> list[str]:
    """Return the name of each folder: the one that the scene has, else one that is free."""
    there = _OutFolder(out)
    # By place: the order of the command decides nothing.
    ordered = sorted(scenes, key=lambda one: (one.place, one.name))
    known: dict[tuple[str, str], str] = {}
    taken: set[str] = set()

    def assign(one: NamedScene, name: str | None) -> None:
        if name is not None:
            known[one.name, one.place] = name
            taken.add(_key(name))

    def pending() -> list[NamedScene]:
        return [one for one in ordered if (one.name, one.place) not in known]

    for belongs in (there.belongs_to, there.was_moved):
        for one in pending():
            names = (name for name in there.named(one) if _key(name) not in taken)
            assign(one, next((name for name in names if belongs(name, one)), None))
    alone = Counter(_key(name) for name, _ in {(one.name, one.place) for one in scenes})
    for one in pending():
        if alone[_key(one.name)] == 1 and _key(one.name) not in taken and there.free_for(one):
            assign(one, one.name)
    for one in pending():
        names = (f"{one.name}_{short_hash(one.place, digits)}" for digits in (8, 16, 64))
        assign(one, next(n for n in names if _key(n) not in taken and not there.holds(n)))
    return [known[one.name, one.place] for one in scenes]


def note_source(work: Path, source: str) -> None:
    """Note in a folder of unfinished work which scene it is of.

    Raises:
        ExportError: It cannot be written.
    """
    with write_atomically(work / _SOURCE) as part:
        part.write_text(source, "utf-8")


class _OutFolder:
    """What is below an output folder already: results, and work that was not finished."""

    def __init__(self, out: Path) -> None:
        """List it; nothing is read before it is asked for."""
        self._out = out
        self._names: dict[str, dict[str, None]] = {}
        for folder in (out, out / WORK):
            with suppress(OSError):
                for path in sorted(folder.iterdir()):
                    key = _key(path.name)
                    for base in dict.fromkeys((key, _DIGEST.sub("", key))):
                        self._names.setdefault(base, {})[path.name] = None

    def named(self, one: NamedScene) -> list[str]:
        """Return the folders that a scene may have, the plain name first."""
        found = self._names.get(_key(one.name), {})
        return sorted(found, key=lambda name: (name != one.name, name))

    def holds(self, name: str) -> bool:
        """Return whether there is a folder of this name, whatever the case of its letters."""
        return any(_key(known) == _key(name) for known in self._names.get(_key(name), {}))

    def belongs_to(self, name: str, one: NamedScene) -> bool:
        """Return whether a folder holds the results of this scene."""
        source, content = self._record(name)
        own = name == f"{one.name}_{short_hash(one.place)}"
        if source is None:
            return own
        # Where a query distinguishes scenes, the path alone does not identify them.
        return source == one.source and (
            own or "?" not in one.place or (content is not None and content == one.content())
        )

    def was_moved(self, name: str, one: NamedScene) -> bool:
        """Return whether a folder is of a file of this content that is no longer where it was."""
        source, content = self._record(name)
        if source is None or content is None or "://" in source or "://" in one.source:
            return False
        return not is_there(source) and content == one.content()

    def free_for(self, one: NamedScene) -> bool:
        """Return whether no other scene has the plain name.

        Files of somebody else under it make no other scene of it: they are refused later.
        """
        return not self.holds(one.name) or (
            one.name in self.named(one) and self._record(one.name)[0] is None
        )

    def _record(self, name: str) -> tuple[str | None, str | None]:
        """Return the source that a folder is of, and the digest of its content."""
        manifest: dict[str, Any] = manifest_of(self._out / name) or {}
        scene = manifest.get("scene") or manifest.get("volume")
        if isinstance(scene, Mapping) and isinstance(scene.get("source"), str):
            return scene["source"], str(scene.get("fingerprint"))
        with suppress(OSError, ValueError):
            return (self._out / WORK / name / _SOURCE).read_text("utf-8") or None, None
        return None, None


def _named(ref: SceneRef) -> NamedScene:
    def content() -> str | None:
        with suppress(SceneError):
            return fingerprint(ref)
        return None

    return NamedScene(
        name=slug(stem(ref)),
        place=scene_place(ref),
        source=source_of(ref),
        content=content,
    )


def _key(name: str) -> str:
    """Return a name as systems compare it that ignore case and forms of Unicode."""
    return unicodedata.normalize("NFC", name).casefold()
