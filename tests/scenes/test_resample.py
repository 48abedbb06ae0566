"""A scene on another grid: the same whatever window is read, and true to its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.scenes.memory import MemoryScene
from pipeline.scenes.resample import Resampled, taps
from tests.strategies import examples

DTYPES = ("uint8", "uint16", "int16", "float32", "float64")


def whole(scene: Resampled) -> Window:
    """Return the window of all pixels."""
    return Window(row=0, col=0, height=scene.info.height, width=scene.info.width)


@given(
    sizes=st.tuples(*[st.integers(1, 60)] * 4),
    dtype=st.sampled_from(DTYPES),
    holes=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=examples(150))
def test_a_window_is_that_part_of_the_whole_bit_for_bit(
    sizes: tuple[int, int, int, int],
    dtype: str,
    holes: bool,
    data: st.DataObject,
) -> None:
    rows, cols, height, width = sizes
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = (rng.random((2, rows, cols)) * 250).astype(dtype)
    valid = rng.random((rows, cols)) > 0.3 if holes else None
    scene = Resampled(MemoryScene(pixels, valid=valid), height=height, width=width)
    all_pixels, all_valid = scene.read(whole(scene), (1, 2))
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(
        row=row,
        col=col,
        height=data.draw(st.integers(1, height - row)),
        width=data.draw(st.integers(1, width - col)),
    )
    part, part_valid = scene.read(window, (1, 2))
    inside = window.within(whole(scene))
    assert part.tobytes() == np.ascontiguousarray(all_pixels[:, *inside]).tobytes()
    np.testing.assert_array_equal(part_valid, all_valid[inside])


@given(source=st.integers(1, 200), target=st.integers(1, 200))
@settings(deadline=None)
def test_weights_of_a_pixel_sum_to_one_inside_the_scene(source: int, target: int) -> None:
    found = taps(source=source, target=target, start=0, stop=target)
    np.testing.assert_allclose(found.weight.sum(axis=1), 1, rtol=1e-12)
    assert found.first >= 0
    assert found.stop <= source
    assert (found.weight >= 0).all()


@given(source=st.integers(1, 100), target=st.integers(1, 100))
@settings(deadline=None)
def test_shrinking_shares_every_source_pixel_out_completely(source: int, target: int) -> None:
    source, target = max(source, target), min(source, target)
    found = taps(source=source, target=target, start=0, stop=target)
    share = np.zeros(source)
    np.add.at(share, found.index, found.weight)
    np.testing.assert_allclose(share, target / source, rtol=1e-9)


@given(
    sizes=st.tuples(*[st.integers(1, 40)] * 4),
    dtype=st.sampled_from(DTYPES),
    value=st.integers(0, 250),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_a_constant_stays_constant_around_holes_too(
    sizes: tuple[int, int, int, int], dtype: str, value: int, seed: int
) -> None:
    rows, cols, height, width = sizes
    valid = np.random.default_rng(seed).random((rows, cols)) > 0.4
    pixels = np.where(valid, value, 99).astype(dtype)[None]
    scene = Resampled(MemoryScene(pixels, valid=valid), height=height, width=width)
    found, kept = scene.read(whole(scene), (1,))
    np.testing.assert_allclose(found[0][kept].astype(float), value, rtol=1e-6)


def test_halving_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 64)).astype(np.float64)
    scene = Resampled(MemoryScene(pixels), height=20, width=32)
    expected = pixels.reshape(3, 20, 2, 32, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(scene.read(whole(scene), (1, 2, 3))[0], expected, rtol=1e-14)


def test_the_same_grid_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (2, 30, 41)).astype(np.uint16)
    scene = Resampled(MemoryScene(pixels), height=30, width=41)
    np.testing.assert_array_equal(scene.read(whole(scene), (1, 2))[0], pixels)


def test_enlarging_a_ramp_keeps_it_a_ramp_inside() -> None:
    ramp = np.tile(np.arange(20.0), (20, 1))[None]
    scene = Resampled(MemoryScene(ramp), height=40, width=60)
    found = scene.read(whole(scene), (1,))[0][0]
    np.testing.assert_allclose(found[:, 1:-1], np.tile((np.arange(1, 59) + 0.5) / 3 - 0.5, (40, 1)))


def test_nothing_of_an_invalid_pixel_is_left() -> None:
    pixels = np.full((1, 20, 20), 10, np.float32)
    valid = np.ones((20, 20), bool)
    valid[5:9, 5:9], pixels[0, 5:9, 5:9] = False, np.nan
    for size in (10, 13, 20, 33):
        scene = Resampled(MemoryScene(pixels, valid=valid), height=size, width=size)
        found, kept = scene.read(whole(scene), (1,))
        assert np.isfinite(found).all()
        assert (found[0][kept] == 10).all()
        assert not kept.all()


def test_the_ground_stays_where_it_is() -> None:
    georef = Georef(crs_wkt="EPSG:32633", transform=(0.5, 0.1, 5e5, 0.1, -0.5, 5.5e6))
    scene = MemoryScene(np.zeros((1, 30, 40), np.uint8), georef=georef)
    info = Resampled(scene, height=10, width=20).info
    assert info.georef is not None
    ends = np.array([[0.0, 0.0], [40.0, 30.0], [40.0, 0.0]])
    np.testing.assert_allclose(info.georef.to_map(ends / [2, 3]), georef.to_map(ends), rtol=1e-12)
    assert info.fingerprint != scene.info.fingerprint


def test_a_grid_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="has none"):
        Resampled(MemoryScene(np.zeros((1, 3, 3), np.uint8)), height=0, width=2)
