"""What is compared: a folder that a run wrote, or any vector file or mask of another tool."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core.grid import balanced_cuts
from pipeline.errors import ConfigError
from pipeline.labels.formats.raster import is_raster, open_labels, trace_label_raster
from pipeline.labels.json_text import load_json
from pipeline.labels.layers import LayerChoice
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.labels.read import read_objects

POLYGONS = (
    "polygons.parquet",
    "polygons.geojson",
    "polygons.coco.json",
    "polygons.gpkg",
    "polygons.fgb",
    "polygons.shp.zip",
)
"""Where a run's polygons are, the most exact first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """A prediction of one scene, and all that is known of how it was made."""

    name: str
    """What the scene, or else the file, is called."""
    source: Path
    """The folder or file as the user named it."""
    objects: Objects
    """The predicted polygons."""
    grid: PixelGrid | None
    """The scene's pixels, where a raster or the manifest defines them."""
    mask: Path | None = None
    """Raster of classes."""
    probability: Path | None = None
    """Raster of quantised probabilities."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """The run's own account of itself; empty for other tools."""
    twin: str | None = None
    """Fingerprint of the scene, from another prediction of it."""

    @property
    def image(self) -> str | None:
        """Path or URL of the scene's imagery, where the manifest names it."""
        scene = self.manifest.get("scene")
        source = scene.get("source") if isinstance(scene, Mapping) else None
        return source if isinstance(source, str) else None

    @property
    def fingerprint(self) -> str:
        """Identity of the scene: its content's digest, else its name."""
        scene = self.manifest.get("scene")
        found = scene.get("fingerprint") if isinstance(scene, Mapping) else self.twin
        return found if isinstance(found, str) else self.name

    @property
    def seams(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Row and column cuts of the tile grid, from the manifest."""
        grid = self.manifest.get("grid")
        if not isinstance(grid, Mapping) or self.grid is None:
            return None
        try:
            core, stride = int(grid["core"]), int(grid["stride"])
            return (
                balanced_cuts(self.grid.height, core=core, multiple=stride),
                balanced_cuts(self.grid.width, core=core, multiple=stride),
            )
        except (KeyError, TypeError, ValueError):
            return None


def open_predicted(path: Path, *, layer: str | None = None) -> Predicted:
    """Return the prediction in a folder or file.

    Args:
        path: A run's ``OUT/<scene>``, or a vector file or mask of any tool.
        layer: Which layer, where a vector file has several.

    Raises:
        ConfigError: There is none.
        SceneError: A raster of it cannot be read.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist; name a run's OUT/<scene> folder or a file")
    choice = LayerChoice(name=layer, option="--predicted-layer")
    if path.is_dir():
        choice.refuse(path)
        return _from_folder(path)
    if is_raster(path):
        choice.refuse(path)
        return _from_mask(path, name=path.stem)
    objects = read_objects(path, choice=choice)
    return Predicted(name=path.stem, source=path, objects=objects, grid=objects.grid)


def expand_predictions(paths: list[Path]) -> list[Path]:
    """Return the predictions that paths stand for: a folder of scenes is all of its scenes."""
    found: list[Path] = []
    for path in paths:
        inner = sorted(one for one in path.iterdir() if _is_scene(one)) if path.is_dir() else []
        found.extend(inner if inner and not _is_scene(path) else [path])
    return found


def digest(path: Path) -> str | None:
    """Return ``sha256:<hex>`` of a file, None of a folder."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _is_scene(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in (*POLYGONS, "mask.tif"))


def _from_folder(folder: Path) -> Predicted:
    if not _is_scene(folder):
        raise ConfigError(
            f"{folder} holds neither {', '.join(POLYGONS)} nor mask.tif; name OUT/<scene>"
        )
    manifest = _manifest(folder / "run.json")
    scene = manifest.get("scene")
    named = scene.get("name") if isinstance(scene, Mapping) else None
    name = named if isinstance(named, str) else folder.resolve().name
    mask = _existing(folder / "mask.tif")
    probability = _existing(folder / "probability.tif")
    vector = next((folder / one for one in POLYGONS if (folder / one).is_file()), None)
    if vector is None and mask:
        traced = _from_mask(mask, name=name, probability=probability, own=bool(manifest))
        return replace(traced, source=folder, manifest=manifest)
    objects = read_objects(vector, image=name) if vector else None
    if objects is None:
        raise ConfigError(f"{folder} holds no prediction")
    return Predicted(
        name=name,
        source=folder,
        objects=objects,
        grid=grid_at(raster) if (raster := mask or probability) else objects.grid,
        mask=mask,
        probability=probability,
        manifest=manifest,
    )


def _from_mask(
    mask: Path, *, name: str, probability: Path | None = None, own: bool = False
) -> Predicted:
    """Return the connected areas of a mask, as sure as the mean of their probability."""
    objects = trace_label_raster(mask, probability=probability, own=own)
    return Predicted(
        name=name,
        source=mask,
        objects=objects,
        grid=objects.grid,
        mask=mask,
        probability=probability,
    )


def grid_at(path: Path) -> PixelGrid:
    """Return the pixels of a raster.

    Raises:
        SceneError: It cannot be read.
    """
    scene = open_labels(path)
    try:
        info = scene.info
        return PixelGrid(height=info.height, width=info.width, georef=info.georef)
    finally:
        scene.close()


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = load_json(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: it is no manifest; run the scene again")
    return value
