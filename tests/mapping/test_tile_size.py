"""How large tiles are: grids that memory allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.grid import Sampling
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.mapping.planning.tile_size import base_bytes, make_grid, pixel_bytes
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.scenes.scene import Band, SceneInfo

CARD = ModelCard(
    name="m",
    network=Network(architecture="unet", stride=16, rf_radius=165),
    inputs=Inputs(bands=("red",), mean=(0.5,), std=(0.2,)),
    outputs=Outputs(classes=(Class(name="building", colour="#e6550d"),)),
    terms=Terms(license="Apache-2.0"),
)
BLEND = CARD.model_copy(
    update={
        "context": "blend",
        "network": Network(architecture="unet", stride=16, rf_radius=None),
    }
)
PAD = CARD.model_copy(update={"context": "pad", "pad_to": 128})

INFO = SceneInfo(
    name="s",
    source="s.tif",
    height=900,
    width=900,
    bands=(Band(index=1, name="red", colour="red"),),
    dtype="uint8",
    georef=None,
    fingerprint="f",
)
PIXEL = pixel_bytes(CARD, INFO, bands=1)


def same(height: int, width: int) -> Sampling:
    return Sampling(height=height, width=width, net_height=height, net_width=width)


@given(
    height=st.integers(1, 40_000),
    width=st.integers(1, 40_000),
    memory=st.integers(2 * 10**9, 64 * 10**9),
)
def test_tiles_fit_into_memory_and_partition_the_scene(
    height: int, width: int, memory: int
) -> None:
    grid = make_grid(CARD, same(height, width), tile=None, per_pixel=PIXEL, max_memory=memory)
    cores = list(grid.cores())
    assert sum(core.pixels for core in cores) == height * width
    assert len(cores) == len(grid)
    assert grid.halo == 176
    largest = max(grid.tile(core).pixels for core in cores)
    assert base_bytes(CARD) + largest * PIXEL <= memory


@pytest.mark.parametrize("tile", [1, 352, 367])
def test_a_tile_without_room_for_its_halo_is_refused_with_the_least_that_works(tile: int) -> None:
    with pytest.raises(ConfigError, match=r"halo of 176 px.*give at least 368"):
        make_grid(CARD, same(900, 900), tile=tile, per_pixel=PIXEL, max_memory=4 * 10**9)
    grid = make_grid(CARD, same(900, 900), tile=368, per_pixel=PIXEL, max_memory=4 * 10**9)
    assert grid.core == 16


def test_blended_tiles_overlap_their_neighbours_alone() -> None:
    with pytest.raises(ConfigError, match="give at least 512"):
        make_grid(BLEND, same(900, 900), tile=511, per_pixel=PIXEL, max_memory=4 * 10**9)
    grid = make_grid(BLEND, same(900, 900), tile=512, per_pixel=PIXEL, max_memory=4 * 10**9)
    assert grid.core == 256
    assert grid.halo == 128


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"--max-memory 0\.5 GB is too little.* needs 1\.7 GB"):
        make_grid(CARD, same(900, 900), tile=None, per_pixel=PIXEL, max_memory=5 * 10**8)


def test_small_images_are_padded_as_in_training() -> None:
    grid = make_grid(PAD, same(101, 101), tile=None, per_pixel=PIXEL, max_memory=4 * 10**9)
    (core,) = grid.cores()
    assert (core.height, core.width) == (101, 101)
    assert grid.tile(core) == Window(row=-13, col=-13, height=128, width=128)
    large = make_grid(PAD, same(500, 500), tile=None, per_pixel=PIXEL, max_memory=4 * 10**9)
    assert large.pad_to == 0


def test_the_halo_grows_by_what_separation_looks_at() -> None:
    for extra, halo in ((0, 176), (11, 176), (12, 192), (24, 192)):
        grid = make_grid(
            CARD,
            same(900, 900),
            tile=None,
            per_pixel=PIXEL,
            max_memory=4 * 10**9,
            extra=extra,
        )
        assert grid.halo == halo


def test_tiles_of_one_size_that_memory_does_not_hold_are_refused() -> None:
    sampling = Sampling(height=100, width=100, net_height=100, net_width=100)
    network = CARD.network.model_copy(update={"rf_radius": None, "size": 4096})
    padded = CARD.model_copy(update={"context": "pad", "pad_to": 4096})
    for card in (CARD.model_copy(update={"network": network, "context": "blend"}), padded):
        with pytest.raises(ConfigError, match=r"takes tiles of 4096 px, of its card: .* 8\.\d GB"):
            make_grid(card, sampling, tile=None, per_pixel=400.0, max_memory=4 * 10**9)
        grid = make_grid(card, sampling, tile=None, per_pixel=400.0, max_memory=10**10)
        assert len(grid) >= 1
