"""Layers of earlier runs, compared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.core.conflation.compare import Tolerance
from pipeline.errors import ConfigError
from pipeline.regions.layer.changes import AREA, IOU, changes
from pipeline.regions.ledger.ledger import NAME, open_ledger
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.resolved_region import LAYER, ResolvedRegion

TOLERANCE = Tolerance(iou=IOU, area=AREA)
"""What the changes after each run go by."""


def changes_between(
    site: ResolvedRegion,
    *,
    out: Path,
    before: int | None = None,
    after: int | None = None,
    tolerance: Tolerance = TOLERANCE,
) -> dict[str, Any]:
    """Write what changed between the layers of two runs, and return the counts.

    Args:
        site: The region.
        out: Folder for the files.
        before: Number of the earlier run; the layer before ``after`` if not given.
        after: Number of the later run; the last with a layer if not given.
        tolerance: What counts as noise.

    Raises:
        ConfigError: A run has no layer, or none any more.
        ExportError: A file could not be written.
    """
    runs: dict[int, RunRow] = {}
    if site.ledger_url is not None or (site.out / NAME).is_file():
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            runs = {run.run: run for run in ledger.runs() if run.state == "done" and run.layer}
        finally:
            ledger.close()
    late = max(runs, default=0) if after is None else after
    if before is None and late in runs:
        others = [n for n, run in runs.items() if n < late and run.layer != runs[late].layer]
        before = max(others, default=0)
    have = ", ".join(map(str, runs)) or "none"
    for name, number in (("--after", late), ("--before", before)):
        if number and number not in runs:
            raise ConfigError(f"{name} {number}: that run has no layer; runs that have one: {have}")
    if not late:
        raise ConfigError(f"no run of {site.region.name} has a layer yet; run it first")
    if not before:
        raise ConfigError(
            f"there is no other layer before that of run {late}; runs that have one: {have}; "
            "run again once scenes were added or changed"
        )
    paths = [site.out / str(runs[n].layer) / LAYER for n in (before, late)]
    found = changes(
        paths[0],
        paths[1],
        out,
        iou=tolerance.iou,
        area=tolerance.area,
        name=f"{site.region.name}_changes",
    )
    return {"before": before, "after": late, **asdict(tolerance), **asdict(found)}
