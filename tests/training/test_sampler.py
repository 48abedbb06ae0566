"""Crops through torchgeo are the crops that are drawn, whatever CRS and size the scenes have."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from pipeline.training.config import read_config
from pipeline.training.data.batches import draw_batch
from pipeline.training.data.crop_sampling import CropDraws
from pipeline.training.data.datasets import LevelDataset
from pipeline.training.data.sampler import Crops, CropSampler, loader
from pipeline.training.data.sources.places import Level
from pipeline.training.read_data import read_data
from tests.strategies import examples


def _level(seed: int, *, rows: int = 20, cols: int = 30) -> Level:
    rng = np.random.default_rng(seed)
    return Level(
        image=rng.integers(0, 256, (3, rows, cols), np.uint8),
        instances=rng.integers(0, 4, (rows, cols)).astype(np.int32),
        contact=rng.integers(0, 251, (rows, cols), np.uint8),
        known=rng.random((rows, cols)) < 0.8,
        pixel_size_m=0.3,
        transform=from_origin(354000.123, 3057500.77, 0.3, 0.3),
        crs=rasterio.CRS.from_epsg(32645),
    )


@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 1000),
    row=st.integers(-30, 30),
    col=st.integers(-40, 40),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
)
def test_a_window_comes_back_from_its_map_coordinates(
    seed: int, row: int, col: int, height: int, width: int
) -> None:
    level = _level(seed)
    dataset = LevelDataset(level)
    query = dataset.query((row, row + height), (col, col + width))
    assert dataset.window(query) == (row, col, height, width)
    part = dataset.cut(query)
    # A mirror twice as long as the scene, repeated, as mapping has it.
    rows, cols = (
        np.minimum(at % (2 * length), 2 * length - 1 - at % (2 * length))
        for at, length in ((np.arange(row, row + height), 20), (np.arange(col, col + width), 30))
    )
    np.testing.assert_array_equal(part.instances, level.instances[np.ix_(rows, cols)])
    np.testing.assert_array_equal(part.image, level.image[:, rows][:, :, cols])


def test_a_query_off_the_pixels_is_refused() -> None:
    dataset = LevelDataset(_level(0))
    x, y, time = dataset.query((2, 6), (3, 9))
    with pytest.raises(IndexError, match="not on the pixels"):
        dataset[slice(x.start + 0.1, x.stop), y, time]


def test_a_sample_has_what_torchgeo_calls_image_and_mask() -> None:
    level = _level(0)
    dataset = LevelDataset(level)
    assert len(dataset) == 1
    assert dataset.res == pytest.approx((0.3, 0.3))
    assert dataset.index.crs == dataset.crs
    sample = dataset[dataset.bounds]
    assert sample["image"].shape == (3, 20, 30)
    assert torch.equal(sample["mask"] == 255, torch.from_numpy(~level.known))


def test_batches_through_torchgeo_are_the_ones_that_are_drawn(small: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(small.read_text()) | {"augment": {"elastic": 3}}
    small.write_text(json.dumps(values))  # which is YAML without aliases
    config = read_config(small)
    data = read_data(config, cache=tmp_path)
    steps = range(3, 6)
    loaded = list(loader(CropSampler(data.draws(config), steps=steps)))
    for step, batch in zip(steps, loaded, strict=True):
        drawn = draw_batch(data.train, data.synthetic, config, step)
        assert torch.equal(batch.image, drawn.image)
        assert torch.equal(batch.target, drawn.target)
        assert torch.equal(batch.weight, drawn.weight)


@pytest.fixture
def sparse(small: Path, tmp_path: Path) -> CropDraws:
    """Return draws of which most miss the corner of the ground that is used."""
    values = yaml.safe_load(small.read_text()) | {"foreground": 0, "crop": 16, "batch": 16}
    values["places"][0]["within"] = [0.05, 0.05, 0.3, 0.4]
    values["augment"] = {"pixel_size_m": [0.25, 0.25], "typical_pixel_size_m": 0.25}
    small.write_text(json.dumps(values))  # which is YAML without aliases
    config = read_config(small)
    return read_data(config, cache=tmp_path).draws(config)


def test_crops_that_were_pickled_are_the_same(sparse: CropDraws) -> None:
    sampler = CropSampler(sparse, steps=range(2))
    sent: Crops = pickle.loads(pickle.dumps(Crops(sampler)))
    redrawn = 0
    for query in sampler:
        asked = pickle.loads(pickle.dumps(query))  # before its chance is drawn from
        here, there = Crops(sampler)[query], sent[asked]
        np.testing.assert_array_equal(here.image, there.image)
        np.testing.assert_array_equal(here.target, there.target)
        np.testing.assert_array_equal(here.weight, there.weight)
        assert here.redrawn == there.redrawn
        redrawn += here.redrawn
    assert redrawn > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_cut_the_same_crops_however_they_start(sparse: CropDraws, method: str) -> None:
    here = list(loader(CropSampler(sparse, steps=range(3))))
    made = loader(CropSampler(sparse, steps=range(3)), workers=1)
    made.multiprocessing_context = method
    for one, other in zip(here, made, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, other.target)
        assert torch.equal(one.weight, other.weight)
        assert one.redrawn == other.redrawn


def test_crops_without_labels_are_drawn_again_and_counted(sparse: CropDraws) -> None:
    batches = list(loader(CropSampler(sparse, steps=range(4))))
    assert sum(batch.redrawn for batch in batches) > 0
    for batch in batches:
        unlabelled = int((batch.weight == 0).all(dim=(1, 2)).sum())
        assert unlabelled == batch.skipped
