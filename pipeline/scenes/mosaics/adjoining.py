"""Adjoining scenes as one: do they share a grid, and where does each lie on it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.geotiff.header import MAX_PIXELS
from pipeline.scenes.mosaics.mosaic import part_infos
from pipeline.scenes.names import redacted
from pipeline.scenes.parts import Mosaic, MosaicPart
from pipeline.scenes.scene import SceneInfo, SceneRef

Overlap = Literal["first", "last", "newest", "oldest"]
"""Whose pixels are taken where files overlap."""
TOLERANCE = 0.01
"""Pixels by which a file's corners may miss the common grid: rounding of its numbers."""
_KINDS = ("geotiff", "image", "jp2", "zipped")
_LEAVE = "leave it out, or warp it onto the others' grid first (gdalwarp -tap -tr ... -t_srs ...)"


def as_one_scene(
    refs: Sequence[SceneRef], *, overlap: Overlap = "first", name: str | None = None
) -> SceneRef:
    """Return one scene made of adjoining or overlapping ones.

    All must have one reference system, one pixel size, the same bands and one type of
    pixels, and lie on one grid of whole pixels.

    Args:
        refs: Scenes in the order named, at least one.
        overlap: Whose pixels are taken where scenes overlap; of equal dates the scene named
            first, and one without a date after all others.
        name: What the scene is called; the first file's name if not given.

    Raises:
        SceneError: A file cannot be mapped or does not fit the first one; names the difference.
    """
    for ref in refs:
        if ref.kind not in _KINDS:
            reason = f"it is a scene of kind {ref.kind}, which has no place among others"
            raise SceneError(redacted(ref.href), reason, "map it by itself")
    infos = part_infos(refs)
    base = _georef(infos[0])
    places = [_place(info, infos[0], base) for info in infos]
    top, left = (min(place[axis] for place in places) for axis in (0, 1))
    bottom = max(place[0] + info.height for place, info in zip(places, infos, strict=True))
    right = max(place[1] + info.width for place, info in zip(places, infos, strict=True))
    if (bottom - top) * (right - left) > MAX_PIXELS:
        raise SceneError(
            infos[0].source,
            f"with the others it spans {bottom - top} x {right - left} pixels, the limit is "
            f"{MAX_PIXELS}",
            "map fewer files as one scene",
        )
    parts = tuple(
        MosaicPart(
            href=refs[at].href,
            source=Window(row=0, col=0, height=infos[at].height, width=infos[at].width),
            row=places[at][0] - top,
            col=places[at][1] - left,
            kind=refs[at].kind,
            options=refs[at].options,
        )
        for at in _order(infos, overlap)
    )
    mosaic = Mosaic(
        height=bottom - top,
        width=right - left,
        crs_wkt=base.crs_wkt,
        transform=_transform(infos, places, (top, left)),
        parts=parts,
    )
    shared = dict(set.intersection(*(set(ref.options) for ref in refs)))
    options = shared | {"overlap": overlap} | ({} if name is None else {"name": name})
    return SceneRef(
        kind="mosaic", href=refs[0].href, options=tuple(sorted(options.items())), mosaic=mosaic
    )


def _georef(info: SceneInfo) -> Georef:
    if info.georef is None:
        raise SceneError(
            info.source,
            "it is not georeferenced, so it has no place among other files",
            "georeference it, or map it by itself",
        )
    return info.georef


def _place(info: SceneInfo, first: SceneInfo, base: Georef) -> tuple[int, int]:
    """Return the row and column of a file's first pixel on the first file's grid.

    Raises:
        SceneError: It does not fit the first file.
    """
    georef = _georef(info)
    if georef.crs_wkt != base.crs_wkt and georef.crs != base.crs:
        raise SceneError(
            info.source,
            f"its reference system is '{georef.crs.name}', that of {first.source} "
            f"'{base.crs.name}'",
            _LEAVE,
        )
    own = [(band.index, band.name, band.colour) for band in info.bands]
    others = [(band.index, band.name, band.colour) for band in first.bands]
    if own != others or info.dtype != first.dtype:
        raise SceneError(
            info.source,
            f"it has {_bands(info)}, {first.source} has {_bands(first)}",
            "give files with the same bands and type of pixels",
        )
    a, b, _, d, e, _ = georef.transform
    steps = np.array([[a, b], [d, e]])
    theirs_steps = np.array([base.transform[:2], base.transform[3:5]])
    # How far the last pixel is off where the steps differ, in pixels.
    drift = np.linalg.inv(theirs_steps) @ (steps - theirs_steps) @ [info.width, info.height]
    if not np.abs(drift).max() <= TOLERANCE:
        raise SceneError(
            info.source,
            f"its pixels are {_size(georef)}, those of {first.source} {_size(base)} (units of "
            "the reference system)",
            _LEAVE,
        )
    col, row = base.to_pixels(georef.to_map(np.zeros((1, 2))))[0].tolist()
    off = row - round(row), col - round(col)
    if max(map(abs, off)) > TOLERANCE:
        raise SceneError(
            info.source,
            f"its grid lies {round(off[0], 3) + 0.0:+g} rows and {round(off[1], 3) + 0.0:+g} "
            "columns beside that of "
            f"{first.source}",
            _LEAVE,
        )
    return round(row), round(col)


def _bands(info: SceneInfo) -> str:
    return f"{info.dtype} bands " + ", ".join(
        band.name if band.name == band.colour else f"{band.name} ({band.colour})"
        for band in info.bands
    )


def _size(georef: Georef) -> str:
    a, b, _, d, e, _ = georef.transform
    return f"{math.hypot(a, d):.9g} x {math.hypot(b, e):.9g}"


def _order(infos: Sequence[SceneInfo], overlap: Overlap) -> list[int]:
    """Return the files whose pixels go before others', first to last."""
    order = list(range(len(infos)))
    if overlap == "last":
        return order[::-1]
    if overlap != "first":
        # Times are RFC 3339 in UTC: in order as text. Sorting keeps the order of equal ones.
        dated = sorted(
            (at for at in order if infos[at].datetime),
            key=lambda at: str(infos[at].datetime),
            reverse=overlap == "newest",
        )
        return dated + [at for at in order if not infos[at].datetime]
    return order


def _transform(
    infos: Sequence[SceneInfo], places: Sequence[tuple[int, int]], origin: tuple[int, int]
) -> tuple[float, float, float, float, float, float]:
    """Return the transform of the whole: that of a file which begins at its corner, if one does."""
    for info, place in zip(infos, places, strict=True):
        if place == origin:
            return _georef(info).transform
    a, b, c, d, e, f = _georef(infos[0]).transform
    row, col = origin[0] - places[0][0], origin[1] - places[0][1]
    return a, b, c + a * col + b * row, d, e, f + d * col + e * row
