"""From the outlines of overlapping scenes to one outline a building."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.observations import Observations, observations, removed
from pipeline.core.conflation.pairs import CELL, Outlines, same_building
from pipeline.core.conflation.union import representatives

Policy = Literal["newest", "confident", "nadir"]
"""Whose outline stays: the newest scene's, the surest footprint, or the scene seen most upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneViews:
    """The scenes, in columns."""

    date: Int64[np.ndarray, " scenes"]
    """Milliseconds since 1970; `UNDATED` where it is unknown."""
    off_nadir: Float64[np.ndarray, " scenes"]
    """Angle off nadir in degrees; infinite where it is unknown."""
    coverage: Sequence[BaseGeometry]
    """Valid area that each mapped, in longitude and latitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineRanking:
    """Attributes of outlines by which one of several is preferred."""

    scene: Int64[np.ndarray, " n"]
    """Scene of each."""
    confidence: Float64[np.ndarray, " n"]
    """Mean probability of each."""
    cut: Bool[np.ndarray, " n"]
    """True where an outline may go on beyond what its scene shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflated:
    """One outline for each building, and the assignment of all others."""

    owner: Int64[np.ndarray, " n"]
    """The outline that stands for each: itself where it is drawn."""
    drawn: Int64[np.ndarray, " drawn"]
    """Outlines of the layer, along a Z-shaped curve over the Earth."""
    seen: Observations
    """Observations of each of ``drawn``."""
    removed: Bool[np.ndarray, " n"]
    """True where what stands for an outline is covered, and not shown, by a newer scene."""


def conflate(
    outlines: Outlines,
    shown: OutlineRanking,
    views: SceneViews,
    *,
    policy: Policy,
    cell: int = CELL,
) -> Conflated:
    """Return one outline for each building that the scenes show.

    `same_building` decides which outlines show one building; `unite` selects one of them, in
    the order of `preference`. Under ``newest`` a building is removed where a scene newer than
    all that show it covers at least half of its outline.

    Args:
        outlines: Outlines of all scenes, none of them without area.
        shown: Their attributes.
        views: The scenes, in an order that does not depend on how they were given.
        policy: Whose outline stays.
        cell: Outlines that are looked at together; changes nothing but memory.
    """
    pairs = same_building(outlines, cell=cell)
    owner = representatives(pairs, order=preference(shown, views, policy))
    drawn = np.flatnonzero(owner == np.arange(len(outlines)))
    # Neighbours follow each other, here and in the layer's file.
    drawn = drawn[np.argsort(z_order(outlines.bounds[drawn]), kind="stable")]
    seen = observations(pairs, drawn, scene=shown.scene, dates=views.date)
    lost = np.zeros(len(drawn), bool)
    if policy == "newest":
        lost = removed(
            outlines.take(drawn), last=seen.last, coverage=views.coverage, dates=views.date
        )
    ended = np.zeros(len(outlines), bool)
    ended[drawn] = lost
    return Conflated(owner=owner, drawn=drawn[~lost], seen=seen.where(~lost), removed=ended[owner])


def preference(shown: OutlineRanking, views: SceneViews, policy: Policy) -> Int64[np.ndarray, " n"]:
    """Return all outlines, the most preferred first.

    Whole ones go before those that their scene's edge may have cut; then the policy
    decides; then the newer scene, the later in order of equal ones; then the row.
    """
    newest = np.empty(len(views.date), np.int64)
    newest[np.lexsort((np.arange(len(views.date)), views.date))[::-1]] = np.arange(len(views.date))
    by: dict[str, Float64[np.ndarray, " n"]] = {
        "newest": np.zeros(len(shown.scene)),
        "confident": -shown.confidence,
        "nadir": views.off_nadir[shown.scene],
    }
    return np.lexsort((newest[shown.scene], by[policy], shown.cut)).astype(np.int64)


def z_order(bounds: Float64[np.ndarray, "n 4"]) -> Int64[np.ndarray, " n"]:
    """Return where the middle of each box lies on a Z-shaped curve over the Earth.

    The number has the bits of a quadkey of level 31 over a square of 360 degrees: its
    first digits name the square that the box lies in.
    """
    middle = (bounds[:, :2] + bounds[:, 2:]) / 2
    steps = np.clip((middle + 180.0) / 360.0 * 2**31, 0, 2**31 - 1).astype(np.int64)
    return np.asarray(_spread(steps[:, 0]) | (_spread(steps[:, 1]) << 1), np.int64)


def _spread(values: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return numbers with a zero before each of their 31 bits."""
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        values = (values | (values << shift)) & mask
    return values
