"""The plan of a scene: everything its outputs depend on, decided before the first tile."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.core.grid import TileGrid
from pipeline.core.outlines import Outline
from pipeline.core.polygons.separate import Separation
from pipeline.core.polygons.subpixel_offsets import MARGIN
from pipeline.core.refine import Refinement
from pipeline.core.tile import Edge
from pipeline.core.window import Window
from pipeline.mapping.outlines import settings_of
from pipeline.mapping.planning.tile_windows import TileWindows
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Stretch
from pipeline.models.registry import ModelRef
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.outputs.vectors.formats import FormatName
from pipeline.scenes.scene import SceneInfo, SceneRef

THUMB_EDGE = 1600
_AFTER = {"min_area_m2", "shape", "clip", "formats"}
"""Settings that apply after tiles are put together: cached tiles do not depend on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """Everything the outputs of one scene depend on; travels to workers with each tile."""

    name: str
    """Folder of the outputs below OUT."""
    scene: SceneRef
    """How a worker opens the scene."""
    info: SceneInfo
    """What was found when it was examined."""
    model: ModelRef
    """How a worker loads the model."""
    card: ModelCard
    """What is known of the model."""
    device: str
    """``cpu`` or ``cuda``."""
    engine: str
    """What else the last bits depend on: library, device, precision, threads."""
    bands: tuple[int, ...]
    """Bands of the scene in the order of the network's channels."""
    stretch: Stretch
    """Which values become 0 and 1."""
    grid: TileGrid
    """Cores and halos."""
    edge: Edge
    """What lies past the scene's edges."""
    threshold: int
    """Quantised probability from which a pixel belongs to a class."""
    refinement: Refinement | None
    """What is done to probabilities and mask; None: nothing."""
    separation: Separation | None
    """How touching objects are taken apart; None: they are not."""
    min_area_m2: float
    """Smaller polygons are left out."""
    outline: Outline
    """How the others are shaped."""
    min_hole_m2: float
    """Smaller holes are filled."""
    task: str
    """Name of the task."""
    aoi: bytes | None
    """Area of interest as WKB in pixels of the scene."""
    clip: bool
    """Whether polygons are cut at the area of interest."""
    formats: tuple[FormatName, ...]
    """Formats of the polygons, where the scene is georeferenced."""
    work: str
    """Folder for tiles and unfinished outputs; not part of any digest."""
    memory: int = 4 * 10**9
    """Bytes that the process may take; not part of any digest."""
    keep_interior: bool = False
    """Whether the interior probability is an output too: what joins buildings across scenes."""
    processor: str = ""
    """Instruction sets that the last bits depend on; empty: they do not."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outputs, apart from how they are computed."""
        # Plans without these keep the digest that they had before there were any.
        more: dict[str, Any] = {}
        if self.refinement is not None:
            more["refinement"] = asdict(self.refinement)
        if self.card.outputs.shares:
            more["arg_max"] = "with background"
        return more | {
            "scene": self.info.fingerprint,
            "size": [self.info.height, self.info.width],
            "options": [list(option) for option in self.scene.options],
            "model": self.model.sha256,
            "task": self.task,
            "bands": list(self.bands),
            "stretch": [self.stretch.low, self.stretch.high],
            "network_grid": [self.grid.sampling.net_height, self.grid.sampling.net_width],
            "context": self.card.context,
            "edge": self.edge,
            "threshold": self.threshold,
            "separation": None if self.separation is None else asdict(self.separation),
            "min_area_m2": self.min_area_m2,
            "shape": settings_of(self.outline, min_hole_m2=self.min_hole_m2),
            "aoi": None if self.aoi is None else hashlib.sha256(self.aoi).hexdigest(),
            "clip": self.clip,
            "formats": list(self.formats),
        }

    @property
    def interior(self) -> bool:
        """Whether there is an interior probability, and it is kept."""
        return self.keep_interior and self.separation is not None

    @property
    def digest(self) -> str:
        """Sha256 of `settings`: the same plan, whatever executor, memory or machine."""
        return _digest(self.settings)

    def key(self, core: Window, *, kind: str = "tile") -> str:
        """Return the key of a cached tile: a digest of everything its bytes depend on."""
        return _digest(
            {
                **{k: v for k, v in self.settings.items() if k not in _AFTER},
                **key_of(self.processor),
                "rim": self.outline.kind == "subpixel",
                # Tiles of other plans keep the keys that they had before there was any.
                **({"interior": True} if self.interior else {}),
                "kind": kind,
                "core": asdict(core),
                "tile": asdict(self.grid.tile(core)),
                "engine": self.engine,
                "versions": versions(),
            }
        )

    def windows(self, core: Window) -> TileWindows:
        """Return the windows of the tile of a core."""
        margin = 0 if self.refinement is None else self.refinement.margin
        labelled = self._clipped(core.grown(polygon_margin(self.separation, self.outline)))
        refined = self._clipped(labelled.grown(margin))
        return TileWindows(
            core=core,
            labelled=labelled,
            refined=refined,
            box=self.grid.sampling.box(refined),
            tile=self.grid.tile(core),
        )

    @property
    def provenance(self) -> Provenance:
        """Provenance that every output states."""
        return Provenance(
            scene=self.name,
            fingerprint=self.info.fingerprint,
            datetime=self.info.datetime,
            model=f"{self.card.name} {self.model.sha256[:12]}",
            classes=classes_of(self.card),
            height=self.info.height,
            width=self.info.width,
            georef=self.info.georef,
        )

    @property
    def thumb_step(self) -> int:
        """Every how many pixels the quicklook takes one."""
        return max(1, math.ceil(max(self.info.height, self.info.width) / THUMB_EDGE))

    @property
    def tiles(self) -> Path:
        """Folder of the cached tiles."""
        return Path(self.work) / "tiles"

    @property
    def final(self) -> Path:
        """Folder in which the outputs are put together before they appear."""
        return Path(self.work) / "final"

    def _clipped(self, window: Window) -> Window:
        return window.clipped(height=self.info.height, width=self.info.width)


def polygon_margin(separation: Separation | None, outline: Outline) -> int:
    """Return how many labelled pixels around a core its polygons depend on."""
    least = MARGIN if outline.kind == "subpixel" else 0
    return least if separation is None else max(separation.margin, least)


def model_summary(card: ModelCard, sha256: str) -> dict[str, Any]:
    """Return the model's entry in a manifest."""
    return {
        "name": card.name,
        "sha256": sha256,
        "network": card.network.architecture,
        "rf_radius_px": card.network.rf_radius,
        "stride": card.network.stride,
        "context": card.context,
        "license": card.terms.license,
        "use": card.terms.use,
    }


def key_of(processor: str) -> dict[str, str]:
    """Return what a processor adds to the key of a tile: nothing where bytes do not depend on it.

    Such tiles keep the key that they had before processors were distinguished.
    """
    return {"processor": processor} if processor else {}


@cache
def versions() -> dict[str, str]:
    """Return the versions of what can change a tile's bytes."""
    names = ("overtile", "numpy", "rasterio", "numba", "shapely")
    return {name: version(name) for name in names}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def classes_of(card: ModelCard) -> tuple[MapClass, ...]:
    """Return the classes of a model as outputs name and colour them."""
    return tuple(
        MapClass(value=value, name=known.name, colour=_rgb(known.colour))
        for value, known in enumerate(card.outputs.classes, start=1)
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue
