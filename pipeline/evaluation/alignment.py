"""Prediction and reference on a common grid, and which objects count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.core.metrics.run_length import RunLengths, rasterize
from pipeline.errors import ConfigError
from pipeline.evaluation.common_grid import CommonGrid, make_common_grid
from pipeline.evaluation.predictions import Predicted
from pipeline.evaluation.sanity_checks import check_coverage, labelled, outside_notes
from pipeline.labels.clean import without_repeats
from pipeline.labels.objects import Objects
from pipeline.labels.repair import count_noun

SLIVER_M2 = 1.0
"""Outlines are slivers below this area, or below a pixel where that is smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedObjects:
    """Predictions or references of a scene, in every form they are needed in."""

    objects: Objects
    """Label, confidence and id of each."""
    projected: Shaped[np.ndarray, " n"]
    """Polygons in the plane."""
    pixels: Shaped[np.ndarray, " n"]
    """Polygons in the scene's pixels."""
    runs: RunLengths
    """The pixels whose centres they cover."""
    inside: Bool[np.ndarray, " n"]
    """True where at least half of the polygon lies in the scene and in the labelled area."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.projected)

    @property
    def centres(self) -> Float64[np.ndarray, "n 2"]:
        """Middle of each polygon's box, in pixels."""
        left, top, right, bottom = shapely.bounds(self.pixels).reshape(-1, 4).T
        return np.column_stack([(left + right) / 2, (top + bottom) / 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One scene's prediction and truth, ready to be scored."""

    prediction: Predicted
    """Where the prediction comes from."""
    frame: CommonGrid
    """The plane and the pixels."""
    predicted: ComparedObjects
    """The predictions."""
    reference: ComparedObjects
    """The references."""
    aoi: Shaped[np.ndarray, " areas"] | None
    """The labelled area in pixels; None for all of the scene."""
    unknown: Shaped[np.ndarray, " areas"] | None
    """Unlabelled pixels of the reference."""
    classes: tuple[str, ...]
    """Names of the classes that both sides distinguish; one name where they do not."""
    label_predicted: Int64[np.ndarray, " predictions"]
    """Class of each prediction, from 1."""
    label_reference: Int64[np.ndarray, " references"]
    """Class of each truth, from 1."""
    notes: tuple[str, ...]
    """Notes for the report."""


def compare(prediction: Predicted, reference: Objects, aoi: Objects | None) -> Compared:
    """Return prediction and truth on one plane.

    Truth outside the scene is left out, and what reaches over its edge is cut there:
    it cannot have been mapped. Objects mostly outside the labelled area are kept,
    but do not count.

    Raises:
        ConfigError: They cannot be brought together, the area is empty, or the truth
            covers a small part of the scene and no area of interest is given.
    """
    frame = make_common_grid(prediction.objects, reference, prediction.grid)
    notes = [f"prediction: {note}" for note in prediction.objects.notes]
    clean = without_repeats(reference)
    notes += [f"truth: {note}" for note in clean.notes]
    failed = prediction.manifest.get("tiles_failed")
    if failed:
        what = count_noun(len(failed), "tile")
        notes.append(f"{what} could not be predicted: what lies there does not count")
    predicted, other = _framed(prediction.objects, frame), _framed(clean, frame)
    if predicted.outside:
        notes.append(f"{count_noun(predicted.outside, 'prediction')} outside the scene left out")
    notes += _about_slivers(predicted.slivers, other.slivers, frame)
    notes += outside_notes(clean, other.outside, len(other.pixels), frame)
    covered, about = labelled(reference, frame)
    notes += about
    area = covered if aoi is None else _area(aoi, frame, covered)
    unknown = (
        None if reference.unknown is None else frame.to_pixels(reference.unknown, reference.crs)
    )
    if aoi is None and reference.grid is None and not frame.grid.derived:
        check_coverage(predicted.pixels, other.pixels, frame)
    classes, label_predicted, label_reference = _classes(predicted.objects, other.objects)
    return Compared(
        prediction=prediction,
        frame=frame,
        predicted=_side(predicted, frame, area),
        reference=_side(other, frame, area),
        aoi=area,
        unknown=unknown,
        classes=classes,
        label_predicted=label_predicted,
        label_reference=label_reference,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Framed:
    """Objects cut at the scene's edges."""

    objects: Objects
    pixels: Shaped[np.ndarray, " n"]
    inside: Bool[np.ndarray, " n"]
    outside: int
    slivers: int


def _framed(objects: Objects, frame: CommonGrid) -> _Framed:
    """Return the objects that touch the scene, cut at its edges, without slivers.

    ``inside`` is True where at least half of the object was left, ``outside`` is how many
    objects do not touch the scene at all, ``slivers`` how many pieces are below `sliver_px`.
    """
    pixels = frame.to_pixels(objects.polygon, objects.crs)
    scene = shapely.box(0, 0, frame.grid.width, frame.grid.height)
    left, top, right, bottom = shapely.bounds(pixels).reshape(-1, 4).T
    whole = (left >= 0) & (top >= 0)
    whole &= (right <= frame.grid.width) & (bottom <= frame.grid.height)
    rows = [np.flatnonzero(whole)]
    shapes = [pixels[whole]]
    crossing = np.flatnonzero(~whole & ~shapely.is_empty(pixels))
    within = shapely.intersection(pixels[crossing], scene)
    cut, cut_of = shapely.get_parts(within, return_index=True)
    keep = (shapely.get_type_id(cut) == 3) & (shapely.area(cut) > 1e-6)
    rows.append(crossing[cut_of[keep]])
    shapes.append(cut[keep])
    row = np.concatenate(rows).astype(np.int64)
    order = np.argsort(row, kind="stable")
    row, found = row[order], np.concatenate(shapes)[order]
    outside = len(objects) - len(np.unique(row))
    # Areas of single pixels are not exact.
    large = shapely.area(found) >= sliver_px(frame) * (1 - 1e-6)
    slivers = int((~large).sum())
    row, found = row[large], found[large]
    return _Framed(
        objects=objects.take(row),
        pixels=found,
        inside=np.asarray(shapely.area(found) >= 0.5 * shapely.area(pixels[row])),
        outside=outside,
        slivers=slivers,
    )


def sliver_px(frame: CommonGrid) -> float:
    """Return the area in pixels below which outlines are slivers: a pixel, at most 1 m2."""
    return 1.0 if frame.step_m is None else min(1.0, SLIVER_M2 / frame.step_m**2)


def _about_slivers(predicted: int, reference: int, frame: CommonGrid) -> list[str]:
    if not predicted and not reference:
        return []
    area = sliver_px(frame) * (frame.step_m or 1.0) ** 2
    unit = "m2" if frame.step_m else "px"
    what = count_noun(predicted, "prediction")
    return [
        f"{what} and {count_noun(reference, 'truth')} smaller than {area:.2g} {unit} "
        "left out as slivers"
    ]


def _area(
    aoi: Objects, frame: CommonGrid, covered: Shaped[np.ndarray, " areas"] | None
) -> Shaped[np.ndarray, " areas"]:
    """Return the area of interest in pixels, where truth covers it."""
    if not len(aoi):
        raise ConfigError(f"{aoi.source}: the area of interest is empty; give a polygon")
    if aoi.crs is None and frame.crs is not None:
        raise ConfigError(f"{aoi.source}: it has no CRS; give one with a CRS")
    joined = shapely.union_all(frame.to_pixels(aoi.polygon, aoi.crs))
    scene = shapely.box(0, 0, frame.grid.width, frame.grid.height)
    known = scene if covered is None else shapely.union_all(covered)
    parts = shapely.get_parts(shapely.intersection(joined, known))
    # The part of an empty polygon is an empty polygon.
    parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)]
    if not len(parts):
        where = "the scene" if covered is None else "what truth covers of the scene"
        raise ConfigError(
            f"{aoi.source}: the area of interest lies outside {where}; give another, or none"
        )
    return np.asarray(parts, object)


def _side(
    framed: _Framed, frame: CommonGrid, aoi: Shaped[np.ndarray, " areas"] | None
) -> ComparedObjects:
    pixels, inside = framed.pixels, framed.inside
    return ComparedObjects(
        objects=framed.objects,
        projected=frame.project(pixels),
        pixels=pixels,
        runs=rasterize(pixels, height=frame.grid.height, width=frame.grid.width),
        inside=inside if aoi is None else inside & _mostly_inside(pixels, aoi),
    )


def _mostly_inside(
    polygons: Shaped[np.ndarray, " n"], aoi: Shaped[np.ndarray, " areas"]
) -> Bool[np.ndarray, " n"]:
    area = shapely.union_all(aoi)
    shapely.prepare(area)
    inside = np.asarray(shapely.contains(area, polygons))
    edge = np.flatnonzero(~inside & shapely.intersects(area, polygons))
    shared = shapely.area(shapely.intersection(polygons[edge], area))
    inside[edge] = shared >= 0.5 * shapely.area(polygons[edge])
    return inside


def _classes(
    predicted: Objects, reference: Objects
) -> tuple[tuple[str, ...], Int64[np.ndarray, " p"], Int64[np.ndarray, " t"]]:
    """Return the classes that both sides name; one class where they share no name."""
    ones = np.ones(len(predicted), np.int64), np.ones(len(reference), np.int64)
    known = set() if predicted.label is None else set(predicted.label.tolist())
    text = set() if reference.label is None else set(reference.label.tolist())
    if not known & text or predicted.label is None or reference.label is None:
        name = next(iter(known)) if len(known) == 1 else "objects"
        return (name,), *ones
    names = tuple(sorted(known | text))
    place = {name: row for row, name in enumerate(names, 1)}
    return (
        names,
        np.array([place[one] for one in predicted.label], np.int64),
        np.array([place[one] for one in reference.label], np.int64),
    )
