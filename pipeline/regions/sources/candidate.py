"""Scenes as sources list them, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.scenes.scene import SceneRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A scene that a source lists."""

    scene: str
    """Its name in the region, the same in every run; holds no secret."""
    source: str
    """The source."""
    ref: SceneRef
    """How to open it."""
    token: str | None = None
    """A cheap sign of its content; None: it has to be asked for."""
    off_nadir: float | None = None
    """Angle off nadir in degrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a source lists now."""

    source: str
    """The source."""
    candidates: tuple[Candidate, ...] = ()
    """Its scenes."""
    faults: tuple[str, ...] = ()
    """What is wrong with single entries; the others are listed."""
    broken: frozenset[str] = frozenset()
    """Scenes that are listed, but whose entries are broken now: these have not left."""
    complete: bool = True
    """Whether a scene that is not listed has left; False: the source could not be read."""
