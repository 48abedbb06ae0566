"""Layers of earlier runs, compared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.runs.region.changes import changes
from pipeline.runs.region.ledger import open_ledger
from pipeline.runs.region.site import LAYER, Site


def changes_between(
    site: Site, *, out: Path, before: int | None = None, after: int | None = None
) -> dict[str, Any]:
    """Write what changed between the layers of two runs, and return the counts.

    Args:
        site: The region.
        out: Folder for the files.
        before: Number of the earlier run; the layer before ``after`` if not given.
        after: Number of the later run; the last with a layer if not given.

    Raises:
        ConfigError: A run has no layer, or none any more.
        ExportError: A file could not be written.
    """
    ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
    try:
        runs = {run.run: run for run in ledger.runs() if run.state == "done" and run.layer}
    finally:
        ledger.close()
    late = max(runs, default=0) if after is None else after
    if before is None:
        others = [n for n, run in runs.items() if n < late and run.layer != runs[late].layer]
        before = max(others, default=0)
    for number in (before, late):
        if number not in runs:
            have = ", ".join(map(str, runs)) or "none"
            raise ConfigError(f"run {number} has no layer; runs that have one: {have}")
    paths = [site.out / str(runs[n].layer) / LAYER for n in (before, late)]
    return {"before": before, "after": late, **asdict(changes(paths[0], paths[1], out))}
