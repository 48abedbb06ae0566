"""Run in Dagster's environment: prints what it holds and what is due, and makes the layer."""

from __future__ import annotations

import json
import sys

import dagster as dg

from workflows.command import LOCKED, Ended
from workflows.dagster_region import SCENES, defs, new_scenes, result


def _waits() -> bool:
    try:
        result(Ended(code=LOCKED, summary={}, line="the region is held"))
    except dg.RetryRequested:
        return True
    return False


with dg.DagsterInstance.get() as instance:
    records = instance.get_run_records()
    runs = [record.dagster_run for record in records]
    due = new_scenes(dg.build_sensor_context(instance=instance, definitions=defs))
    layer = defs.resolve_job_def("layer_job").execute_in_process(instance=instance)
    found = {
        "runs": sorted(
            [run.tags["dagster/partition"], run.tags["dagster/run_key"], run.status.value]
            for run in runs
        ),
        "partitions": sorted(instance.get_dynamic_partitions(SCENES.name)),
        "times": sorted([record.start_time, record.end_time] for record in records),
        "waits": _waits(),
        "due": len(due.run_requests),
        "layer": layer.success,
    }
sys.stdout.write(json.dumps(found))
