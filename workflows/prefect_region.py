"""Regions in Prefect: one flow, which runs the command, on the schedule of the region's file.

    export OVERTILE=$PWD/.venv/bin/overtile
    ENVIRONMENT/bin/python -m workflows.prefect_region town/region.yaml...

Prefect keeps the clock and shows the runs. What is due, tried again and given up says
Overtile's ledger: no retries, no caching and no limit of runs here, see README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from prefect import flow, get_run_logger, serve
from prefect.client.schemas.objects import State
from prefect.schedules import Cron
from prefect.states import Completed, Failed

from workflows.command import LOCKED, overtile


@flow(name="overtile-region", retries=0, persist_result=False)
def region(file: str) -> State[object]:
    """Map what is new in a region; safe to repeat."""
    ended = overtile("region", "run", file, report=get_run_logger().info)
    if ended.code == LOCKED:
        return Completed(name="Skipped", message=ended.line)
    if ended.code == 0:
        counts = {key: ended.summary[key] for key in ("run", "mapped", "linked", "unchanged")}
        return Completed(message=", ".join(f"{key} {value}" for key, value in counts.items()))
    return Failed(message=f"exit code {ended.code}: {ended.line}")


def schedule(file: Path) -> Cron:
    """Return when a region is due, as its file says."""
    found = yaml.safe_load(file.read_text("utf-8"))["schedule"]
    return Cron(found["cron"], timezone=found.get("timezone", "UTC"))


if __name__ == "__main__":
    files = [Path(name).resolve() for name in sys.argv[1:]]
    serve(
        *(
            region.to_deployment(
                file.parent.name, schedule=schedule(file), parameters={"file": str(file)}
            )
            for file in files
        )
    )
