"""Warnings of pixels that a nodata value or an alpha band hides though they may be imagery.

Missing ground is wide and open; what is hidden in small places inside the data may be
black roofs where nodata is 0, or near infrared where a band is wrongly tagged as alpha.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.core.window import Window
from pipeline.scenes import nodata
from pipeline.scenes.access.location import is_remote
from pipeline.scenes.scene import Scene, SceneInfo
from pipeline.scenes.validity import MARGIN, is_sentinel, open_nodata

EDGE = 1024
"""Edge of the squares that are looked at, in pixels."""
MOST = 64
"""Squares that are looked at: all of a scene up to 67 million pixels."""
MOST_REMOTE = 4
"""Squares of a scene behind a URL, each of which is fetched for this alone."""
FEW = 4
"""Values that alpha has by itself: opaque, transparent, and what encoders make of these."""
LARGE = 0.01
"""Share of hidden pixels inside the data from which alpha may be no mask; and of pixels that are
neither opaque nor transparent, which encoders and soft edges make few of."""
LEAST = 16
"""Hidden pixels that are warned of; fewer are no roof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenPixels:
    """What was found of hidden pixels."""

    pixels: int
    """Pixels that were looked at."""
    hidden: int
    """Those that are nodata, though not in the open."""
    values: int
    """Different values of alpha."""
    between: int
    """Pixels of alpha that are far from transparent and from opaque."""
    whole: bool
    """Whether the whole scene was looked at."""


def hidden_warnings(scene: Scene, bands: tuple[int, ...]) -> tuple[str, ...]:
    """Return warnings of pixels that may be imagery and are taken as missing.

    Args:
        scene: The scene.
        bands: The bands that are mapped.

    Raises:
        SceneError: Pixels cannot be read.
    """
    info = scene.info
    alpha = info.alpha if info.validity == "alpha" and info.alpha not in bands else 0
    values = nodata.of_bands(info, bands)
    if alpha:
        return _of_alpha(_examine(scene, bands, alpha), info, bands)
    if (
        info.validity == "mask"
        or not values
        or any(is_sentinel(value, info.dtype) for value in values)
    ):
        return ()
    found = _examine(scene, bands, 0)
    if found.hidden < LEAST:
        return ()
    shown = ", ".join(f"{value:g}" for value in dict.fromkeys(values))
    return (
        f"{_amount(found)} hold the nodata value {shown} in small places inside its data and are "
        "mapped as no data; if they are imagery, such as black roofs, map with --nodata none",
    )


def _of_alpha(found: HiddenPixels, info: SceneInfo, bands: tuple[int, ...]) -> tuple[str, ...]:
    signs = []
    if found.values > FEW and found.between > LARGE * found.pixels:
        signs.append(f"has {found.values} different values")
    if found.hidden > LARGE * found.pixels:
        signs.append(f"hides {_amount(found)} in small places inside its data")
    if not signs:
        return ()
    every = ",".join(map(str, sorted({*bands, info.alpha})))
    return (
        f"its band {info.alpha} is tagged as alpha, but {' and '.join(signs)}: if it is imagery, "
        f"such as near infrared, name it with --bands (--bands {every}), or correct its tag "
        f"(gdal_edit.py -colorinterp_{info.alpha} undefined)",
    )


def _amount(found: HiddenPixels) -> str:
    share = found.hidden / found.pixels
    rounded = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
    if found.whole:
        return f"{found.hidden} of its pixels ({rounded})"
    return f"about {rounded} of its pixels ({found.hidden} of {found.pixels} that were looked at)"


def _examine(scene: Scene, bands: tuple[int, ...], alpha: int) -> HiddenPixels:
    info = scene.info
    pixels = hidden = 0
    alphas: Counter[float] = Counter()
    for window in _windows(info):
        _, valid = scene.read(window, bands)
        pixels += window.pixels
        if not valid.all():
            hidden += _hidden(scene, bands, window)
        if alpha:
            values, counts = np.unique(scene.read(window, (alpha,))[0], return_counts=True)
            alphas.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    most = max(alphas, default=0)
    return HiddenPixels(
        pixels=pixels,
        hidden=hidden,
        values=len(alphas),
        between=sum(count for value, count in alphas.items() if most < 8 * value < 7 * most),
        whole=pixels == info.height * info.width,
    )


def _hidden(scene: Scene, bands: tuple[int, ...], window: Window) -> int:
    wide = window.grown(MARGIN)
    inside = wide.clipped(height=scene.info.height, width=scene.info.width)
    around = np.ones((wide.height, wide.width), bool)
    around[inside.within(wide)] = ~scene.read(inside, bands)[1]
    inner = around[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return int(np.count_nonzero(inner & ~open_nodata(around)))


def _windows(info: SceneInfo) -> Iterator[Window]:
    """Yield squares, the same ones for the same scene."""
    rows, cols = math.ceil(info.height / EDGE), math.ceil(info.width / EDGE)
    most = MOST_REMOTE if is_remote(info.source) else MOST
    chosen = np.arange(rows * cols)
    if rows * cols > most:
        chosen = np.sort(np.random.default_rng(0).permutation(rows * cols)[:most])
    for number in chosen.tolist():
        window = Window(
            row=number // cols * EDGE, col=number % cols * EDGE, height=EDGE, width=EDGE
        )
        yield window.clipped(height=info.height, width=info.width)
