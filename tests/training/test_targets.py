"""Laws of buildings, interiors and contact maps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipeline.training.data.targets import CONTACT_SCALE, buildings, contact_map, interiors


def _town(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    town = np.zeros((60, 70), np.int32)
    for number in range(1, 12):
        row, col = rng.integers(0, 50, 2)
        town[row : row + rng.integers(4, 15), col : col + rng.integers(4, 15)] = number
    return town


def _touching() -> np.ndarray:
    town = np.zeros((12, 20), np.int32)
    town[2:10, 2:10] = 1
    town[2:10, 10:18] = 2
    return town


@pytest.mark.parametrize("seed", range(5))
def test_without_a_gap_buildings_are_all_instances(seed: int) -> None:
    town = _town(seed)
    np.testing.assert_array_equal(buildings(town, gap=False), town > 0)


@pytest.mark.parametrize("seed", range(5))
def test_with_a_gap_no_two_buildings_share_a_pixel_edge(seed: int) -> None:
    town = _town(seed)
    parts, count = ndimage.label(buildings(town, gap=True))
    for number in range(1, count + 1):
        assert len(np.unique(town[parts == number])) == 1


def test_the_gap_takes_one_pixel_from_either_side() -> None:
    taken = buildings(_touching(), gap=False) - buildings(_touching(), gap=True)
    assert set(np.nonzero(taken)[1].tolist()) == {9, 10}


@pytest.mark.parametrize("radius", [1.0, 1.5, 3.0])
def test_an_interior_is_what_a_disc_fits_into(radius: float) -> None:
    town = np.pad(_town(3), 5)
    reach = int(radius)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = rows**2 + cols**2 <= radius**2
    expected = np.zeros(town.shape, bool)
    for number in np.unique(town[town > 0]):
        expected |= ndimage.binary_erosion(town == number, disc)
    np.testing.assert_array_equal(interiors(town, radius=radius), expected)


def test_a_building_is_not_eroded_from_the_crop_edge() -> None:
    assert interiors(np.ones((9, 9), np.int32), radius=3.0).all()


def test_the_contact_map_is_the_papers_formula() -> None:
    town = np.zeros((9, 21), np.int32)
    town[:, :6], town[:, 13:] = 1, 2
    sigma = 4.0
    found = contact_map(town, sigma=sigma)[4]
    for col in range(21):
        to_first = max(col - 5, 0)
        to_second = max(13 - col, 0)
        near, far = sorted((to_first, to_second))
        expected = np.exp(-((near + far) ** 2) / (2 * sigma**2)) if far < 3 * sigma else 0.0
        assert found[col] == pytest.approx(expected * CONTACT_SCALE, abs=0.5)


def test_a_lone_building_has_no_contact() -> None:
    town = np.zeros((30, 30), np.int32)
    town[5:12, 5:12] = 4
    assert not contact_map(town, sigma=4.0).any()


def test_a_shared_wall_weighs_most() -> None:
    weight = contact_map(_touching(), sigma=4.0)
    assert weight[5, 9] == weight[5, 10] == weight.max()
    assert weight[5, 2] < weight[5, 6] < weight[5, 9]
