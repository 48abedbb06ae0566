"""Who does the work of a run: an executor, proved fit before the first tile."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

from pipeline.config import Task
from pipeline.errors import ConfigError, ModelError
from pipeline.executors.executor import Executor
from pipeline.executors.malloc import few_arenas
from pipeline.executors.serial import Serial
from pipeline.gdal.raster_guard import install_guard
from pipeline.models.card import ModelCard
from pipeline.models.shelf import (
    Device,
    ModelRef,
    chosen_device,
    load_predictor,
    load_volume_predictor,
)
from pipeline.runs.plan import versions
from pipeline.runs.request import MapRequest
from pipeline.runs.tiling import THREADS
from pipeline.scenes.scene import SceneRef

LARGE = 20_000_000
"""Pixels from which OpenVINO pays: it loads 8 s longer and takes a third of torch's time."""


class Crew:
    """The executor of a run; started when the first tile needs it."""

    def __init__(self, request: MapRequest, task: Task) -> None:
        """Remember what is asked for; nothing starts yet."""
        self.task = task
        self._request = request
        self._executor: Executor | None = None
        self._engines: dict[tuple[str, bool], tuple[str, str]] = {}
        self._proved = False

    @property
    def executor(self) -> Executor:
        """The executor, started.

        Raises:
            ConfigError: There is no such executor, or nobody answers.
        """
        if self._executor is None:
            self._executor = _executor(self._request.executor, self._request.tile_timeout_s)
        return self._executor

    def engine(self, card: ModelCard, *, pixels: int) -> tuple[str, str]:
        """Return device and engine of the workers, all alike; loads the model in each.

        Args:
            card: The model's.
            pixels: What the network will see of the scene, halos aside; with many of
                them an engine that takes longer to load is worth it.

        Raises:
            ConfigError: They differ, so that results would depend on who did which tile.
            ModelError: The model cannot be loaded.
        """
        wanted = (card.sha256, pixels >= LARGE)
        if wanted not in self._engines:
            name = self.task.model
            if Path(name).is_file():
                name = str(Path(name).absolute())
            ref = ModelRef(name=name, sha256=card.sha256)
            how = partial(_engine, large=wanted[1]) if card.network.dims == 2 else _volume_engine
            ask = partial(how, ref, self._request.device)
            engines = set(self.executor.everywhere(ask))
            if len(engines) != 1:
                told = "; ".join(sorted(engine for _, engine in engines))
                raise ConfigError(
                    f"the workers are not alike ({told}); results would depend on who did what: "
                    "start them alike, or choose --device cpu"
                )
            self._engines[wanted] = engines.pop()
        return self._engines[wanted]

    def prove(self, out: Path, scene: SceneRef) -> None:
        """Prove that all workers have this version, and see the output folder.

        Raises:
            ConfigError: One does not; says which and what.
        """
        if self._proved or self._request.executor in {"serial", "local"}:
            return
        probe = out.absolute() / f".probe-{uuid.uuid4().hex}"
        probe.write_text(probe.name)
        try:
            found = self.executor.everywhere(partial(_fitness, str(probe), scene.href))
        finally:
            probe.unlink()
        complaints = sorted({complaint for complaint in found if complaint})
        theirs = {str(sorted(have.items())) for have in self.executor.everywhere(versions)}
        if theirs != {str(sorted(versions().items()))}:
            complaints.append(f"versions differ: {theirs} there, {versions()} here")
        if complaints:
            raise ConfigError(f"workers cannot do this run: {'; '.join(complaints)}")
        self._proved = True

    def close(self) -> None:
        """Let the executor go."""
        if self._executor is not None:
            self._executor.close()


def _executor(name: str, timeout_s: float) -> Executor:
    few_arenas()
    if name == "serial":
        return Serial()
    if name == "local":
        from pipeline.executors.dask import Dask

        return Dask.local(threads=THREADS, timeout_s=timeout_s)
    if "://" in name:
        from pipeline.executors.dask import Dask

        return Dask.connect(name, setup=install_guard, timeout_s=timeout_s)
    raise ConfigError(f"--executor {name!r} is none of serial, local, tcp://HOST:PORT")


def _engine(ref: ModelRef, device: Device, *, large: bool) -> tuple[str, str]:
    few_arenas()
    if ref.name == "threshold":
        return "cpu", load_predictor(ref, device="cpu").engine
    where = chosen_device(device, large=large)
    try:
        return where, load_predictor(ref, device=where).engine
    except ModelError:
        # Not every network can be compiled; torch runs them all.
        if where != "openvino" or device == "openvino":
            raise
    return "cpu", load_predictor(ref, device="cpu").engine


def _volume_engine(ref: ModelRef, device: Device) -> tuple[str, str]:
    few_arenas()
    where = chosen_device(device)
    if where == "openvino":
        raise ConfigError("--device openvino: volumes are predicted with torch; use cpu or cuda")
    return where, load_volume_predictor(ref, device=where).engine


def _fitness(probe: str, scene: str) -> str:
    path = Path(probe)
    if not path.is_file() or path.read_text() != path.name:
        return f"a worker does not see the output folder {path.parent}"
    if "://" not in scene and not scene.startswith("memory") and not Path(scene).exists():
        return f"a worker does not see the scene {scene}"
    return ""
