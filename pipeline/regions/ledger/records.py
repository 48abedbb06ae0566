"""Records of scenes and runs in the ledger of a region."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRow:
    """Record of a scene: the last attempt, and the last result."""

    scene: str
    """Its name in the region: a path below the region's folder, a URL, or an item."""
    source: str
    """The source that lists it."""
    state: str
    """``done``, ``partial`` (tiles failed), ``failed``, ``outside`` or ``withdrawn``."""
    token: str | None = None
    """A cheap sign of its content; as long as it stays the content is not read again."""
    fingerprint: str | None = None
    """Digest of its content."""
    wanted: str | None = None
    """Key of the last attempt: content, settings, weights."""
    attempts: int = 0
    """How often this key failed."""
    tried_at: float | None = None
    """When, in seconds since 1970."""
    reason: str | None = None
    """Why it failed."""
    key: str | None = None
    """Key of the last result; it stays when a later attempt fails."""
    folder: str | None = None
    """Where that is, below the folder of scenes."""
    datetime: str | None = None
    """When it was taken, RFC 3339."""
    off_nadir: float | None = None
    """Angle off nadir in degrees."""
    coverage: str | None = None
    """Area mapped validly, WKB in hexadecimal, longitude and latitude."""
    pixels: int | None = None
    """Pixels mapped validly."""
    km2: float | None = None
    """Their area."""
    first_run: int | None = None
    """Run of the first result."""
    last_run: int | None = None
    """Run of the last result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """Record of a run."""

    run: int
    """Number, from 1."""
    state: str
    """``running``, ``done``, ``stopped`` (error budget), ``failed`` or ``interrupted``."""
    holder: str
    """Process and host."""
    began_at: float
    """Seconds since 1970."""
    ended_at: float | None = None
    """Seconds since 1970."""
    mapped: int | None = None
    """Scenes mapped."""
    failed: int | None = None
    """Scenes that failed."""
    layer: str | None = None
    """Folder of the layer, below the region's output."""
    layer_key: str | None = None
    """Digest of everything the layer depends on."""
    summary: str | None = None
    """What the command printed, long lists cut; of a run that failed the reason."""
    settings: str | None = None
    """Digests of task, weights and area, as JSON."""
