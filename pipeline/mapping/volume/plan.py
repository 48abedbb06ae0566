"""The plan of a volume: everything its outputs depend on, decided before the first block."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config import Task
from pipeline.core.block import Block, BlockGrid, Three, largest_block_grid
from pipeline.core.tile import Edge
from pipeline.errors import ConfigError
from pipeline.mapping.planning.plan import key_of, versions
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.tile_size import THREADS, base_bytes
from pipeline.models.arguments import least_bytes_per_pixel
from pipeline.models.card import ModelCard
from pipeline.models.engines.processor import Engine
from pipeline.models.predictor import Stretch
from pipeline.models.registry import ModelRef, card_of
from pipeline.scenes.nodata import with_nodata
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.seismic.volume import SegyVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePlan:
    """Everything the outputs of one volume depend on; travels to workers with each block."""

    name: str
    """Folder of the outputs below OUT."""
    source: str
    """Path of the volume."""
    fingerprint: str
    """Digest of its content."""
    model: ModelRef
    """How a worker loads the model."""
    card: ModelCard
    """What is known of the model."""
    device: str
    """``cpu`` or ``cuda``."""
    engine: str
    """What else the last bits depend on: library, device, precision, threads."""
    stretch: Stretch
    """Which amplitudes become 0 and 1."""
    grid: BlockGrid
    """Cores and halos."""
    edge: Edge
    """What lies past the volume's faces."""
    threshold: int
    """Quantised probability from which a voxel belongs to a class."""
    task: str
    """Name of the task."""
    work: str
    """Folder for blocks and unfinished outputs; not part of any digest."""
    processor: str = ""
    """Instruction sets that the last bits depend on; empty: they do not."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outputs, apart from how they are computed."""
        return {
            "volume": self.fingerprint,
            "shape": list(self.grid.shape),
            "model": self.model.sha256,
            "task": self.task,
            "stretch": [self.stretch.low, self.stretch.high],
            "edge": self.edge,
            "threshold": self.threshold,
        } | ({"arg_max": "with background"} if self.card.outputs.shares else {})

    @property
    def digest(self) -> str:
        """Sha256 of `settings`: the same plan, whatever executor, memory or machine."""
        return _digest(self.settings)

    def artefact(self, core: Block) -> Path:
        """Return where a block's probabilities are kept, by all that their bytes depend on."""
        key = {
            **{name: value for name, value in self.settings.items() if name != "threshold"},
            **key_of(self.processor),
            "core": asdict(core),
            "block": asdict(self.grid.block(core)),
            "engine": self.engine,
            "versions": versions(),
        }
        return self.blocks / f"{_digest(key)}.block"

    @property
    def blocks(self) -> Path:
        """Folder of the cached blocks."""
        return Path(self.work) / "blocks"

    @property
    def final(self) -> Path:
        """Folder in which the outputs are put together before they appear."""
        return Path(self.work) / "final"

    def ready(self, engine: Engine | tuple[str, str], work: Path) -> VolumePlan:
        """Return the plan with device and engine, and the folder to work in."""
        found = Engine(*engine)
        return replace(
            self,
            device=found.device,
            engine=found.name,
            processor=found.processor,
            work=str(work.absolute()),
        )


def plan_volume(request: MapRequest, task: Task, path: str, name: str) -> VolumePlan:
    """Return the plan of a volume; torch is not needed for it.

    Raises:
        SceneError: It is no volume, or none of its amplitudes is a number.
        ConfigError: The command asks for what cannot be.
    """
    card = card_of(task.model)
    _refuse(request, path)
    with_nodata(SceneRef(kind="segy", href=path), task.nodata)
    with SegyVolume(path) as volume:
        fingerprint, shape = volume.fingerprint(), volume.shape
        stretch = _stretch(volume, task)
    model = str(Path(task.model).absolute()) if Path(task.model).exists() else task.model
    return VolumePlan(
        name=name,
        source=path,
        fingerprint=fingerprint,
        model=ModelRef(name=model, sha256=card.sha256),
        card=card,
        device="",
        engine="",
        stretch=stretch,
        grid=make_block_grid(card, shape, tile=request.tile, max_memory=request.max_memory),
        edge=task.edge or card.edge,
        threshold=card.outputs.quantised_threshold(task.threshold),
        task=task.name,
        work="",
    )


def make_block_grid(
    card: ModelCard, shape: Three, *, tile: int | None, max_memory: int
) -> BlockGrid:
    """Return the blocks: the largest cubes that memory allows, or of the edge asked for.

    Where the volume is thinner than a cube, the other axes get the room.

    Raises:
        ConfigError: The edge leaves no room for the halo, or memory for any block.
    """
    stride, rf_radius = card.network.stride, card.network.rf_radius or 0
    halo = -(-rf_radius // stride) * stride
    if tile is not None:
        core = (tile - 2 * halo) // stride * stride
        if core < stride:
            raise ConfigError(
                f"--tile {tile} leaves no room for a halo of {halo} voxels on every side, which "
                f"model {card.name!r} needs; give at least {2 * halo + stride}"
            )
        a, b, c = (min(core, -(-length // stride) * stride) for length in shape)
        return BlockGrid(shape=shape, core=(a, b, c), halo=halo, stride=stride)
    # One is predicted while others are read and written, a float and a byte a class each.
    predicted = max(card.bytes_per_pixel, least_bytes_per_pixel(card.network.arguments))
    each = predicted + THREADS * (4 + 5 * len(card.outputs.classes))
    room = (max_memory - base_bytes(card)) / each
    least = (2 * halo + stride) ** 3
    if room < least:
        raise ConfigError(
            f"--max-memory {max_memory / 1e9:.3g} GB is too little for model {card.name!r}; "
            f"it needs {(base_bytes(card) + each * least) / 1e9:.1f} GB"
        )
    return largest_block_grid(shape, halo=halo, stride=stride, room=room)


def _stretch(volume: SegyVolume, task: Task) -> Stretch:
    """Return the amplitudes that become 0 and 1: as given, or percentiles of the volume."""
    low, high = task.values.range or volume.span(task.values.percentiles)
    return Stretch(low=low, high=high)


def _refuse(request: MapRequest, path: str) -> None:
    asked = {"--aoi": request.aoi, "--truth": request.truth}
    for option, value in asked.items():
        if value is not None:
            raise ConfigError(f"{option} {value}: {path} is a volume; leave {option} out")
    if "slices" in dict(request.scene_options):
        raise ConfigError("--slices: the model sees whole volumes; leave it out")


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
