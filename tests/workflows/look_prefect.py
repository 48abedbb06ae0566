"""For Prefect's own environment: runs the served deployment once, then the flow for each line."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client

from workflows.prefect_region import region


def _report(found: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(found)}\n")
    sys.stdout.flush()


def served(client: SyncPrefectClient, name: str, *, patience_s: float) -> dict[str, Any]:
    """Run a deployment as soon as it is there, to its end; return what Prefect holds of both."""
    end = time.monotonic() + patience_s
    while not (found := client.read_deployments()):
        if time.monotonic() > end:
            raise TimeoutError(f"nobody serves {name}")
        time.sleep(0.5)
    (deployment,) = found
    run = client.create_flow_run_from_deployment(deployment.id)
    while not (state := client.read_flow_run(run.id).state).is_final():
        if time.monotonic() > end:
            raise TimeoutError(f"{state!r}")
        time.sleep(0.5)
    (schedule,) = deployment.schedules
    return {
        "deployment": deployment.name,
        "cron": schedule.schedule.cron,
        "timezone": schedule.schedule.timezone,
        "active": schedule.active and not deployment.paused,
        "type": state.type.value,
        "name": state.name,
        "message": state.message,
    }


if __name__ == "__main__":
    file = Path(sys.argv[1])
    with get_client(sync_client=True) as client:
        _report(served(client, file.parent.name, patience_s=float(sys.argv[2])))
        for _ in sys.stdin:
            state = region(str(file), return_state=True)
            _report({"type": state.type.value, "name": state.name, "message": state.message})
        tries = [run.run_count for run in client.read_flow_runs() if run.state.is_final()]
        _report({"tries": tries})
