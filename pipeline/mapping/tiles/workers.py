"""The executor of a run, whose workers are checked before their first tile."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import rasterio
import shapely

from pipeline.config import Task
from pipeline.errors import ConfigError, ModelError
from pipeline.executors.environment import differences
from pipeline.executors.executor import Conditions, Executor
from pipeline.executors.serial import Serial
from pipeline.executors.threads import Threads
from pipeline.gdal.raster_guard import install_guard
from pipeline.malloc import limit_arenas
from pipeline.mapping.folders import WORK
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.tile_size import THREADS
from pipeline.models.card import ModelCard
from pipeline.models.engines.processor import (
    Engine,
    instruction_sets,
    noise_digest,
    volume_noise_digest,
)
from pipeline.models.registry import (
    Device,
    ModelRef,
    engines_for,
    load_predictor,
    load_volume_predictor,
)
from pipeline.outputs.atomic import write_faults
from pipeline.scenes.archive.find import is_there
from pipeline.scenes.scene import SceneRef

LARGE = 20_000_000
"""Pixels from which the conversion of a checkpoint for OpenVINO pays: it takes 8 s."""


Reporter = Callable[[str], None]
Found = TypeVar("Found")


class CheckedWorkers:
    """The executor of a run; started when the first tile needs it."""

    def __init__(self, request: MapRequest, task: Task, *, report: Reporter | None = None) -> None:
        """Remember what is asked for; nothing starts yet.

        Args:
            request: What to map, and how.
            task: The request's.
            report: Takes lines for people: workers that are refused, waits for others.
        """
        self.task = task
        self._request = request
        self._report: Reporter = report or (lambda _: None)
        self._executor: Executor | None = None
        self._engines: dict[tuple[str, bool], Engine] = {}
        self._loads: dict[Engine, Callable[[], Engine]] = {}
        self._probe: Path | None = None
        self._required: Engine | None = None

    @property
    def executor(self) -> Executor:
        """The executor, started.

        Raises:
            ConfigError: There is no such executor, no scheduler responds, or a worker has other
                versions.
        """
        if self._executor is None:
            self._executor = _executor(self._request, self._report)
        return self._executor

    def engine(self, card: ModelCard, *, pixels: int) -> Engine:
        """Return what predicts in the workers, all alike; loads the model in each.

        Args:
            card: The model's.
            pixels: What the network will see of the scene, halos aside; with many of
                them an engine that takes longer to load is worth it.

        Raises:
            ConfigError: They differ, so that results would depend on the worker.
            ModelError: The model cannot be loaded.
            ClusterError: The scheduler was lost, or no worker is left.
        """
        wanted = (card.sha256, pixels >= LARGE)
        if wanted not in self._engines:
            name = self.task.model
            if Path(name).exists():
                name = str(Path(name).absolute())
            ref = ModelRef(name=name, sha256=card.sha256)
            load = partial(
                _predictor_of if card.network.dims == 2 else _volume_predictor_of,
                ref,
                digest=self._remote,
            )
            choose = partial(_devices, ref, card, self._request.device, large=wanted[1])
            found = self.executor.everywhere(partial(_found, partial(_engine, choose, load)))
            engines = {engine for _, engine in found}
            if len(engines) != 1:
                raise ConfigError(_unlike(found))
            engine = self._engines[wanted] = engines.pop()
            self._loads[engine] = partial(load, engine.device)
        return self._engines[wanted]

    def prove(self, out: Path, scene: SceneRef, engine: Engine) -> None:
        """Check that all workers see the output folder and the scene, and predict alike.

        Workers that join later are checked in the same way before their first tile.

        Args:
            out: The output folder.
            scene: The first to be mapped with this engine.
            engine: What predicts.

        Raises:
            ConfigError: One of the first workers does not; the message names it.
            ClusterError: The scheduler was lost, or no worker is left.
        """
        if not self._remote or self._required == engine:
            return
        first = self._probe is None
        probe = self._probe or out.absolute() / WORK / f".probe-{uuid.uuid4().hex}"
        if self._probe is None:
            self._probe = probe
            with write_faults(probe):
                probe.parent.mkdir(parents=True, exist_ok=True)
                probe.write_text(probe.name)
        sees = partial(_fitness, str(probe), scene.href)
        if first:
            found = self.executor.everywhere(partial(_found, sees))
            complaints = sorted(f"{worker}: {text}" for worker, text in found if text)
            if complaints:
                raise ConfigError(f"workers cannot do this run: {'; '.join(complaints)}")
        check = partial(_unfit, sees, self._loads[engine], engine, _linked())
        self.executor.require(Conditions(check=check))
        self._required = engine

    def close(self) -> None:
        """Let the executor go."""
        if self._probe is not None:
            with suppress(OSError):
                self._probe.unlink()
        if self._executor is not None:
            self._executor.close()

    @property
    def _remote(self) -> bool:
        """Whether others than this process work."""
        return "://" in self._request.executor


def _executor(request: MapRequest, report: Reporter) -> Executor:
    limit_arenas()
    name, timeout_s = request.executor, request.tile_timeout_s
    if name == "serial":
        return Serial()
    if name == "local":
        return Threads(threads=THREADS, timeout_s=timeout_s)
    if "://" in name:
        from pipeline.executors.dask import Dask

        return Dask.connect(name, setup=install_guard, timeout_s=timeout_s, report=report)
    raise ConfigError(f"--executor {name!r} is none of serial, local, tcp://HOST:PORT")


def _found(task: Callable[[], Found]) -> tuple[str, Found]:
    """Return host and process of a worker, and what a task gives there."""
    return f"{socket.gethostname()}:{os.getpid()}", task()


def _unlike(found: Iterable[tuple[str, Engine]]) -> str:
    """Return the message about workers that predict in different ways."""
    text = "; ".join(sorted(f"{worker}: {_shown(engine)}" for worker, engine in found))
    return (
        f"the workers differ ({text}); results would depend on the worker: "
        "start them alike, or choose --device cpu"
    )


def _shown(engine: Engine) -> str:
    return ", ".join(part for part in (engine.name, engine.processor, engine.digest) if part)


def _unfit(
    sees: Callable[[], str],
    load: Callable[[], Engine],
    engine: Engine,
    linked: dict[str, str],
) -> str:
    """Return what does not fit in a worker, nothing if all does.

    Raises:
        PipelineError: The guard of drivers cannot be installed, or the model not be loaded.
    """
    install_guard()
    limit_arenas()
    text = sees()
    if text:
        return text
    text = differences(_linked(), linked)
    if text:
        return text
    found = load()
    if found[:3] != engine[:3]:
        names = ("device", "engine", "processor")
        return differences(
            dict(zip(names, found[:3], strict=True)), dict(zip(names, engine[:3], strict=True))
        )
    if found != engine:
        return "its predictions differ in the last bits; its processor is another"
    return ""


def _linked() -> dict[str, str]:
    """Return the versions of libraries that packages were built with."""
    return {"GDAL": rasterio.__gdal_version__, "GEOS": shapely.geos_version_string}


def _devices(ref: ModelRef, card: ModelCard, device: Device, *, large: bool) -> list[str]:
    """Return where a model may run here, the best first."""
    return engines_for(ref.name, card, device, large=large)


def _engine(choose: Callable[[], list[str]], load: Callable[[str], Engine]) -> Engine:
    limit_arenas()
    *first, last = choose()
    for where in first:
        with suppress(ModelError):
            return load(where)
    return load(last)


def _predictor_of(ref: ModelRef, device: str, *, digest: bool) -> Engine:
    predictor = load_predictor(ref, device=device)
    if ref.name == "threshold":
        return Engine(device, predictor.engine)
    # Kernels of a GPU may be chosen anew each time.
    seen = noise_digest(predictor) if digest and device != "cuda" else ""
    return Engine(device, predictor.engine, instruction_sets(device), seen)


def _volume_predictor_of(ref: ModelRef, device: str, *, digest: bool) -> Engine:
    predictor = load_volume_predictor(ref, device=device)
    seen = volume_noise_digest(predictor) if digest and device != "cuda" else ""
    return Engine(device, predictor.engine, instruction_sets(device), seen)


def _fitness(probe: str, scene: str) -> str:
    path = Path(probe)
    if not path.is_file() or path.read_text() != path.name:
        return f"it does not see the output folder {path.parent.parent}"
    if "://" not in scene and not scene.startswith("memory") and not is_there(scene):
        return f"it does not see the scene {scene}"
    return ""
