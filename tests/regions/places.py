"""Small regions on disk: overlapping scenes, a clock of their own, runs over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.resolved_region import ResolvedRegion, resolve_region
from pipeline.regions.run import run_region
from pipeline.regions.serve.next_runs import NextRuns, first_moment
from tests.mapping.scenery import NORTH_UP, write_scene

GROUND = 96
SIDE = 48


def ground(seed: int = 0, *, without: int | None = None, extra: bool = False) -> np.ndarray:
    """Return bright houses on a grid, as seen from above; pixels of ``GROUND`` squared."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (GROUND, GROUND)).astype(np.uint8)
    for at, corner in enumerate((row, col) for row in range(6, 90, 14) for col in range(6, 90, 14)):
        if at != without:
            pixels[corner[0] : corner[0] + 7, corner[1] : corner[1] + 8] = 230
    if extra:
        pixels[18:20, 16:18] = 230
    return pixels


def cut(folder: Path, name: str, pixels: np.ndarray, *, row: int, col: int, when: str) -> Path:
    """Write a window of the ground as a scene of that day."""
    away = NORTH_UP @ Affine.translation(col, row)
    window = pixels[None, row : row + SIDE, col : col + SIDE]
    folder.mkdir(parents=True, exist_ok=True)
    return write_scene(folder / f"{name}_{when}.tif", window, transform=away)


def town(root: Path, *, text: str = "", scenes: int = 4) -> Path:
    """Make a region of overlapping scenes of one town; return its file."""
    pixels = ground()
    for at in range(scenes):
        row, col = divmod(at, 2)
        cut(root / "scenes", f"s{at}", pixels, row=row * 32, col=col * 32, when="20240101")
    file = root / "region.yaml"
    file.write_text(
        "name: town\ntask: bright\nsources: [{type: files, path: scenes}]\n"
        f"outputs: [geojson]\ncompute: {{executor: serial, device: cpu}}\n{text}",
        "utf-8",
    )
    return file


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = field(default_factory=lambda: datetime(2024, 5, 6, 2, 30, tzinfo=UTC))

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def wait(self, **span: float) -> None:
        """Go on, or back."""
        self.now += timedelta(**span)


def go(file: Path, clock: Clock | None = None) -> dict[str, Any]:
    """Run a region."""
    return run_region(resolve_region(file), report=lambda _: None, clock=clock or Clock())


def keep_to_schedule(file: Path, clock: Clock, *, until: datetime) -> list[dict[str, Any]]:
    """Run a region whenever it is due, as `serve` does, by a clock that is set by hand."""
    site = resolve_region(file)
    schedule = site.region.schedule
    assert schedule is not None
    ledger = open_ledger(site.out, region=site.region.name) if site.out.is_dir() else None
    runs = [] if ledger is None else ledger.runs()
    if ledger is not None:
        ledger.close()
    due = first_moment(schedule, runs[-1] if runs else None, clock())
    done = []
    while due is not None and due <= until:
        clock.now = max(clock.now, due.astimezone(UTC))
        done.append(go(file, clock))
        due = NextRuns(schedule).get_next_fire_time(due, clock())
    clock.now = until
    return done


def site_of(file: Path) -> ResolvedRegion:
    """Return the region of a file."""
    return resolve_region(file)
