"""`overtile doctor`: what works is said to, what does not is named with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from pipeline.errors import ConfigError
from pipeline.mapping.diagnose import (
    CLOSE,
    EDGE,
    Check,
    cluster_check,
    engine_check,
    run_check,
)
from tests.forked import overtile


def test_an_installation_that_works_passes(tmp_path: Path) -> None:
    done = overtile(tmp_path, "doctor", "--out", str(tmp_path / "not" / "yet"), "--json")
    assert done.code == 0, done.said
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {check["state"] for check in checks.values()} <= {"ok", "absent", "warning"}
    for name in ("versions", "drivers of rasterio", "drivers of pyogrio", "projections", "disk"):
        assert checks[name]["state"] == "ok"
    for engine in ("openvino", "torch"):
        assert "predicts a tile of 128 x 128 px" in checks[f"engine {engine}"]["detail"]
    assert "GTiff" in checks["drivers of rasterio"]["detail"]
    assert "VRT" not in checks["drivers of rasterio"]["detail"]
    assert str(tmp_path) in checks["disk"]["detail"]


def test_a_scheduler_that_is_not_there_fails_and_the_others_are_checked(tmp_path: Path) -> None:
    done = overtile(tmp_path, "doctor", "--cluster", "tcp://127.0.0.1:9", "--json")
    assert done.code == 1
    summary = json.loads(done.stdout)
    failed = [check for check in summary["checks"] if check["state"] == "failed"]
    assert [check["name"] for check in failed] == ["cluster"]
    assert "no Dask scheduler responds there" in failed[0]["detail"]
    assert summary["failed"] == 1
    assert len(summary["checks"]) > 8


def test_what_fails_is_named_with_its_hint() -> None:
    def refused() -> Check:
        raise ConfigError("it is broken; mend it")

    def crashes() -> Check:
        raise OSError("libfoo.so: cannot open")

    found = run_check("it", refused)
    assert (found.state, found.detail, found.hint) == ("failed", "it is broken", "mend it")
    found = run_check("it", crashes)
    assert found.detail == "OSError: libfoo.so: cannot open"


def test_an_engine_that_predicts_something_else_fails() -> None:
    level = {"cpu": 0.5, "openvino": 0.5 + 2 * CLOSE}
    found = engine_check("torch", lambda device: np.full((1, EDGE, EDGE), level[device], "f4"))
    assert found.state == "failed"
    assert "0.0002 apart from those of OpenVINO" in found.detail
    assert "--device openvino" in found.hint


def test_workers_of_a_cluster_are_counted_and_compared() -> None:
    with LocalCluster(
        n_workers=2,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        found = cluster_check(cluster.scheduler_address)
    assert (found.state, found.detail) == ("ok", "2 workers of the same versions")
