"""Soak: a hundred scenes, mapped over and over while faults befall the runs.

``python -m benchmarks.soak [SECONDS [SEED [SCENES]]]`` makes small scenes, maps them once
undisturbed, and then for so long maps them on a small disk, serially, on threads and on two
workers, while at random moments the run or a worker is killed or hangs, the disk is full,
a scene is cut off, replaced or removed. Whatever stands under a final name is compared with
the undisturbed run after each fault; at the end all must be there, equal byte for byte.
Needs root, to mount the disk.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from benchmarks._faults import FAULTS, NEEDS_CLUSTER, Hit, Place, small_disk
from benchmarks._report import report
from tests.forked import Ended, Limits, Started
from tests.mapping.scenery import blobs, contents, write_scene

HANGS_S = 10
"""Seconds after which a tile counts as hung."""
PARTIAL = (".part", ".work", ".probe")


def make(folder: Path, count: int) -> tuple[Path, ...]:
    """Write scenes of a few tiles each, no two alike."""
    folder.mkdir()
    return tuple(
        write_scene(folder / f"s{seed:03}.tif", blobs(seed, height=90 + seed % 50, width=150)[None])
        for seed in range(count)
    )


def begin(place: Path, scenes: Path, out: Path, executor: str) -> Started:
    """Start a run over all scenes in a process of its own."""
    command = ["map", str(scenes), "--out", str(out), "--task", "bright", "--device", "cpu"]
    command += ["--executor", executor, "--tile", "64", "--tile-timeout", str(HANGS_S)]
    return Started(place, tuple(command), Limits())


def looked_at(out: Path, calm: dict[str, dict[str, bytes]]) -> tuple[int, list[str]]:
    """Return how many scenes stand, and which of them are not as the undisturbed run's.

    What was mapped from another content than the scene has now is neither.
    """
    standing, wrong = 0, []
    for folder in sorted(out.glob("s???")):
        found = contents(folder)
        told = json.loads(found.get("run.json", b"{}"))
        owed = json.loads(calm[folder.name]["run.json"])["scene"]["fingerprint"]
        if told and told["scene"]["fingerprint"] != owed:
            shutil.rmtree(folder)  # the run refuses it from now on, in words
            continue
        standing += 1
        if found != calm[folder.name]:
            wrong.append(folder.name)
    return standing, wrong


def one_round(place: Place, work: Path, rng: random.Random, scenes_s: float) -> tuple[str, Ended]:
    """Start a run, let a fault befall it, wait for its end and put right what was spoilt."""
    name = rng.choice(list(FAULTS))
    executors = [place.cluster.scheduler_address]
    if name not in NEEDS_CLUSTER:
        executors += ["serial", "local"]
    run = begin(work, place.scenes[0].parent, place.disk / "out", rng.choice(executors))
    due = time.monotonic() + rng.uniform(0.05, scenes_s)
    run.wait_until(lambda: time.monotonic() >= due)
    FAULTS[name][0](Hit(place=place, run=run, rng=rng))
    ended = run.wait(timeout_s=900)
    place.mend()
    return name, ended


def soak(place: Place, work: Path, calm: dict[str, dict[str, bytes]], until: Any) -> None:
    """Let faults befall runs until it is time, and tell what came of it."""
    rng, seconds, scenes_s = until
    out = place.disk / "out"
    rounds: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    codes: dict[str, Counter[int]] = defaultdict(Counter)
    wrong: dict[str, list[str]] = defaultdict(list)
    end, mapped, before = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        name, ended = one_round(place, work, rng, scenes_s)
        rounds[name] += 1
        codes[name][ended.code] += 1
        stopped[name] += ended.code != 0
        if ended.code not in FAULTS[name][1] or "Traceback" in ended.said:
            first = max(0, ended.said.find("Traceback") - 1000)
            wrong[name].append(f"code {ended.code}: {ended.said[first:][:4000]}")
        standing, odd = looked_at(out, calm)
        wrong[name].extend(odd)
        mapped += max(0, standing - before)
        before = standing
        if standing > 0.8 * len(calm):
            for folder in rng.sample(sorted(out.glob("s???")), k=standing * 2 // 3):
                shutil.rmtree(folder)
                before -= 1
    last = begin(work, place.scenes[0].parent, out, "serial").wait(timeout_s=900)
    standing, odd = looked_at(out, calm)
    mapped += standing - before
    left = [path.name for path in out.rglob("*") if path.name.endswith(PARTIAL)]
    rows: list[dict[str, Any]] = [
        {
            "fault": name,
            "runs": rounds[name],
            "stopped": stopped[name],
            "codes": " ".join(f"{code}:{count}" for code, count in sorted(codes[name].items())),
            "wrong": len(wrong[name]),
        }
        for name in FAULTS
        if rounds[name]
    ]
    rows.append(
        {
            "fault": "all",
            "runs": rounds.total(),
            "stopped": stopped.total(),
            "codes": f"the last run: {last.code}",
            "wrong": sum(map(len, wrong.values())) + len(odd) + len(left),
            "scenes_mapped": mapped,
            "equal_at_the_end": standing - len(odd),
            "scenes": len(calm),
        }
    )
    report("soak", rows)
    for told in (*[what for one in wrong.values() for what in one], *odd, *left):
        sys.stderr.write(f"{told}\n")
    if any(wrong.values()) or odd or left or last.code or standing < len(calm):
        raise SystemExit("the soak found a fault")


def main(seconds: float = 300, seed: int = 0, count: int = 100) -> None:
    """Make scenes, map them undisturbed, then disturbed."""
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder) / "disk") as disk:
        work = Path(folder)
        scenes = make(work / "scenes", count)
        shutil.copytree(work / "scenes", work / "kept")
        # Once all is imported, what this module needs as well, so that faults fall into the work.
        multiprocessing.get_context("forkserver").set_forkserver_preload(
            [
                "pipeline.cli.__main__",
                "pipeline.mapping.plan_scene",
                "benchmarks._faults",
                "tests.forked",
                "tests.mapping.scenery",
            ]
        )
        Started(work, ("models", "list"), Limits()).wait()
        began = time.monotonic()
        ended = begin(work, work / "scenes", work / "calm", "serial").wait(timeout_s=1800)
        if ended.code:
            raise SystemExit(ended.said)
        took = time.monotonic() - began
        calm = {path.name: contents(path) for path in (work / "calm").glob("s???")}
        with LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster:
            place = Place(scenes=scenes, disk=disk, cluster=cluster, kept=work / "kept")
            soak(place, work, calm, (random.Random(seed), seconds, 0.5 * took))


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
