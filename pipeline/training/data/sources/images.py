"""Folders of images and masks without a place, as image challenges hand them out."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.errors import ConfigError
from pipeline.labels.values import RasterValues, block_values
from pipeline.training.config import ClassConfig, ImagesConfig
from pipeline.training.data.sources.label_values import label_meaning
from pipeline.training.data.sources.labels import Labels, class_values, number_objects
from pipeline.training.data.sources.places import Level, Place, contacts, existing, make_place

BYTES, READING = 9, 40
"""Bytes that a pixel of an image takes: its colours, object, weight; and while it is read."""
WHITE = 65535
"""The largest value of 16 bits; it means what 255 means in 8."""
SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def fold_of(name: str, *, folds: int) -> int:
    """Return the fold of an image: a hash of its name, the same whatever else there is."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % folds


def split(config: ImagesConfig, names: Sequence[str]) -> dict[str, list[str]]:
    """Return which images are trained on, validated and tested with."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in names:
        fold = fold_of(name, folds=config.folds)
        held = {config.fold: "validation", config.test_fold: "test"}
        parts[held.get(fold, "train")].append(name)
    return parts


def read_images(
    config: ImagesConfig,
    classes: Sequence[ClassConfig],
    *,
    border_sigma: float,
    most_bytes: float = inf,
) -> dict[str, list[Place]]:
    """Return the images of each split, held in memory, a place each.

    Args:
        config: Names them.
        classes: What is looked for.
        border_sigma: See `contact_map`; 0 where no such map is used.
        most_bytes: Memory that all of them may take.

    Raises:
        ConfigError: They take more than that, a folder or mask is missing, a mask and its
            image differ in size, ``depths.csv`` knows none of the images, or a split is empty.
    """
    folder = config.folder
    existing([folder / config.images, folder / config.masks])
    found = {
        path.stem: path
        for path in sorted((folder / config.images).iterdir())
        if path.suffix.lower() in SUFFIXES
    }
    if not found:
        raise ConfigError(f"{folder / config.images}: holds no image ({', '.join(SUFFIXES)})")
    _check_depths(folder, found)
    parts = split(config, list(found))
    for name in ("train", "validation"):
        if not parts[name]:
            raise ConfigError(
                f"{folder}: no image falls into the {name} split: {len(found)} images, "
                f"{config.folds} folds; use fewer folds or another fold"
            )
    _check_sizes(folder, list(found.values()), most_bytes)
    masks = {name: _mask(path, config) for name, path in found.items()}
    values = RasterValues()
    for _, one in masks.values():
        values |= block_values(one, np.ones(one.shape, np.bool_), None)
    meaning = label_meaning(values, class_values(classes), ignore_value=config.ignore_value)

    def place(name: str) -> Place:
        mask, values = masks.pop(name)
        labels = number_objects(
            values,
            classes,
            ignore_value=config.ignore_value,
            objects=False,
            source=mask,
            meaning=meaning,
        )
        return _place(found[name], mask, labels, config.pixel_size_m, border_sigma)

    return {part: [place(name) for name in names] for part, names in parts.items()}


def _mask(path: Path, config: ImagesConfig) -> tuple[Path, NDArray[Any]]:
    """Return the mask of an image, and its values.

    Raises:
        ConfigError: It is missing, cannot be read, or is a picture.
    """
    masks = [config.folder / config.masks / f"{path.stem}{suffix}" for suffix in SUFFIXES]
    mask = next((candidate for candidate in masks if candidate.is_file()), None)
    if mask is None:
        raise ConfigError(f"{path}: has no mask {masks[0]}")
    with _reading(mask), Image.open(mask) as file:
        if file.mode.startswith("I") or file.mode in ("1", "L", "P"):
            values = np.asarray(file.convert("L") if file.mode == "1" else file)
            # 16-bit masks of one class are drawn with 65535, and classes name it 255.
            return mask, np.where(values == WHITE, 255, values)
        bands = np.asarray(file.convert("RGBA"), np.uint8)
    colours = bands[:, :, :3]
    if (colours != colours[:, :, :1]).any():
        raise ConfigError(
            f"{mask}: its bands differ, so it is a picture and no labels; give one band of classes"
        )
    # What is transparent is not drawn.
    return mask, np.where(bands[:, :, 3] > 0, colours[:, :, 0], 0).astype(np.uint8)


def _place(path: Path, mask: Path, labels: Labels, pixel_size_m: float, sigma: float) -> Place:
    image = _pixels(path)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    shape = labels.known.shape
    if shape != image.shape[:2]:
        raise ConfigError(
            f"{mask}: has {shape[0]} x {shape[1]} pixels, its image "
            f"{image.shape[0]} x {image.shape[1]}; mask and image must be of one size"
        )
    level = Level(
        image=np.ascontiguousarray(image[:, :, :3].transpose(2, 0, 1)),
        instances=labels.instances,
        contact=contacts(labels.instances, sigma=sigma),
        known=labels.known,
        pixel_size_m=pixel_size_m,
        class_of=labels.class_of,
        source=str(path),
    )
    return make_place(path.stem, [level], share=1.0, sigma=sigma, halve=False)


def _check_sizes(folder: Path, paths: Sequence[Path], most_bytes: float) -> None:
    """Refuse images that memory does not hold; only their headers are read."""
    if most_bytes == inf:
        return
    total = largest = 0
    for path in paths:
        with _reading(path), Image.open(path) as file:
            pixels = file.width * file.height
        total, largest = total + pixels, max(largest, pixels)
        if BYTES * total + READING * largest > most_bytes:
            raise ConfigError(
                f"{folder}: its {len(paths)} images take more than memory_gb {most_bytes / 1e9:g} "
                f"({total / 1e6:.0f} million pixels up to {path.name}); give fewer or smaller "
                "ones, or a larger memory_gb"
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: cannot be read as an image: {error}") from error


def _pixels(path: Path) -> NDArray[np.uint8]:
    with _reading(path), Image.open(path) as file:
        mode = "L" if file.mode in ("1", "L", "P") else "RGB"
        return np.asarray(file if file.mode == "P" else file.convert(mode), np.uint8)


def _check_depths(folder: Path, images: dict[str, Path]) -> None:
    """Check that ``depths.csv``, where there is one, lists these images."""
    for path in (folder / "depths.csv", folder.parent / "depths.csv"):
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                known = {row.get("id", "") for row in csv.DictReader(file)}
            if not known & set(images):
                raise ConfigError(f"{path}: names none of the images beside it; remove one of them")
            return
