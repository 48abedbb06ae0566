"""A run that is watched while it goes on, and looked at when it has ended."""

from __future__ import annotations

from pathlib import Path

from pipeline.mapping.publish import current_manifest
from pipeline.validation.validate import CHECKS, check_file
from tests.forked import Limits, Started, map_arguments
from tests.mapping.scenery import contents


def started(place: Path, scene: Path, out: Path, *more: str) -> Started:
    """Start a run in a process of its own."""
    return Started(place, map_arguments(scene, out, *more), Limits())


def tiles(out: Path) -> int:
    """Return how many tiles of scene ``s`` are there."""
    return len(list((out / ".work" / "s" / "tiles").glob("*.tile")))


def check_results(out: Path, undisturbed: dict[str, bytes]) -> None:
    """Check that results are those of an undisturbed run, and vouch for each other."""
    assert contents(out / "s") == undisturbed
    manifest = current_manifest(out / "s")
    assert manifest is not None
    assert manifest["tiles_failed"] == []
    faults = [
        fault
        for path in (out / "s").iterdir()
        if path.suffix in CHECKS
        for fault in check_file(path)
    ]
    assert faults == []


def check_whole(out: Path, undisturbed: dict[str, bytes]) -> None:
    """Check results, and that nothing else is left."""
    check_results(out, undisturbed)
    assert not (out / ".work").exists()
