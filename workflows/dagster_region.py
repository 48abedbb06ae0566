"""A region in Dagster: a partition for each scene, asked for once by Overtile's own key.

    mkdir -p ~/dagster-home && cp workflows/dagster.yaml ~/dagster-home
    export DAGSTER_HOME=~/dagster-home OVERTILE=$PWD/.venv/bin/overtile
    export OVERTILE_REGION=town/region.yaml
    ENVIRONMENT/bin/dagster dev -m workflows.dagster_region

Dagster starts things and shows them. What is due, tried again and given up says Overtile's
ledger: one run at a time (``dagster.yaml``), and tried again is only what found the region
held by another, see README.md.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from workflows.command import LOCKED, Ended, overtile

FILE = Path(os.environ["OVERTILE_REGION"]).resolve()
REGION = yaml.safe_load(FILE.read_text("utf-8"))
POOL = f"overtile_{REGION['name'].replace('-', '_')}"
SCENES = dg.DynamicPartitionsDefinition(name=f"{POOL}_scenes")
AT_ONCE = 100
"""Scenes asked for at a time; the next look asks for others."""
WAIT_S, WAITS = 30, 2880
"""How often, and how many times (a day), a run looks whether the region is free again."""
ONE_AT_A_TIME = {"overtile/region": REGION["name"]}
"""Beside the pool, whose limit Dagster does not keep the first time that it meets the pool."""


def result(ended: Ended) -> dg.MaterializeResult[Any]:
    """Return what Dagster shall show of a run."""
    if ended.code == LOCKED:
        raise dg.RetryRequested(max_retries=WAITS, seconds_to_wait=WAIT_S)
    if ended.code:
        raise dg.Failure(f"exit code {ended.code}: {ended.line}", allow_retries=False)
    shown = {key: value for key, value in ended.summary.items() if isinstance(value, int)}
    return dg.MaterializeResult(metadata=shown)


def fit(name: str) -> bool:
    """Return whether Dagster takes a scene's name for a partition; `layer` maps the others."""
    return name.isprintable() and "..." not in name


@dg.asset(partitions_def=SCENES, pool=POOL)
def scene(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Footprints of one scene."""
    asked = ("--scene", context.partition_key)
    return result(overtile("region", "run", str(FILE), *asked, report=context.log.info))


@dg.asset(pool=POOL)
def layer(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """One layer of all scenes, and what changed; maps what is still due."""
    return result(overtile("region", "run", str(FILE), report=context.log.info))


scene_job = dg.define_asset_job(
    "scene_job", selection=[scene], partitions_def=SCENES, tags=ONE_AT_A_TIME
)
layer_job = dg.define_asset_job("layer_job", selection=[layer], tags=ONE_AT_A_TIME)


@dg.sensor(
    job=scene_job,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_scenes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Ask for every scene that is due, once for each of our keys and attempts."""
    ended = overtile("region", "plan", str(FILE), report=context.log.info)
    if ended.code not in (0, 3):
        return dg.SkipReason(f"exit code {ended.code}: {ended.line}")
    scenes = [one for one in ended.summary["scenes"] if one["state"] in ("map", "link")]
    due = [one for one in scenes if fit(one["scene"])][:AT_ONCE]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{one['key']}-{one['attempts']}-{one['scene']}",
                partition_key=one["scene"],
            )
            for one in due
        ],
        dynamic_partitions_requests=[SCENES.build_add_request([one["scene"] for one in due])],
    )


@dg.schedule(
    job=layer_job,
    cron_schedule=REGION["schedule"]["cron"],
    execution_timezone=REGION["schedule"].get("timezone", "UTC"),
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def on_schedule() -> dg.RunRequest:
    """Bring the layer up to date on the region's own schedule."""
    return dg.RunRequest()


defs = dg.Definitions(
    assets=[scene, layer],
    jobs=[scene_job, layer_job],
    sensors=[new_scenes],
    schedules=[on_schedule],
    executor=dg.in_process_executor,
)
