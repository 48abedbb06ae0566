"""What the values of a label raster mean: one rule for predictions, truth and training labels.

- 0 is background, and so is a declared nodata of 0.
- Another declared nodata is not labelled, and so are pixels that a mask, alpha or NaN hides.
- 255, or the largest value of a wider type (65535), is a class where it is the only one: so are
  masks of one class usually drawn. Beside other classes it is not labelled.
- All other values are classes.

A file of two values never means nothing: a nodata value that is the only one beside 0 is the
class, and where one class and what is missing fill the raster, what is missing is background.
Masks that Overtile wrote mean what it writes (0, classes, 255 no data), whatever they hold.

The rule holds for a whole file: it is decided before the first block is used.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.scene import Scene, SceneInfo
from pipeline.scenes.validity import fits

UNLABELLED = 255
"""The label of pixels that are not labelled; and the value that means it by convention."""
HIGHEST = 254
"""The largest value of one class of several."""
_WINDOW_PIXELS = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterValues:
    """Which values a raster holds, as far as their meaning depends on them."""

    zero: bool = False
    """Whether some pixel is 0."""
    declared: bool = False
    """Whether some pixel is the declared nodata value, which is not 0."""
    tops: frozenset[float] = frozenset()
    """Those of `drawn_values` that occur."""
    low: float = math.inf
    """Smallest of the other values."""
    high: float = -math.inf
    """Largest of the other values."""
    hidden: bool = False
    """Whether a mask, alpha or NaN hides some pixel."""

    def __or__(self, other: RasterValues) -> RasterValues:
        """Return the values of two blocks or files together."""
        return RasterValues(
            zero=self.zero or other.zero,
            declared=self.declared or other.declared,
            tops=self.tops | other.tops,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            hidden=self.hidden or other.hidden,
        )

    @property
    def settled(self) -> bool:
        """True where further values cannot change what those seen mean."""
        return self.zero and self.low <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the values of a raster mean."""

    nodata: float | None = None
    """The declared value; None where there is none that pixels can hold."""
    unlabelled: frozenset[float] = frozenset()
    """Values of pixels that are not labelled."""
    background: frozenset[float] = frozenset({0.0})
    """Values of background."""
    only: float | None = None
    """The value of the only class where that is none of 1 to 254."""
    hidden_is_background: bool = False
    """Whether pixels that a mask, alpha or NaN hides are background."""
    reasons: tuple[str, ...] = ()
    """What does not go without saying, with reasons; empty for 0, classes and a declared 255."""

    def labels(
        self,
        pixels: Shaped[np.ndarray, "rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        *,
        source: str,
    ) -> UInt8[np.ndarray, "rows cols"]:
        """Return 0 for background, 1 to 254 for classes, 255 for what is not labelled.

        The only class is 1 where its own value is none of 1 to 254.

        Args:
            pixels: A block of the raster, of any type.
            valid: False where the raster has no data.
            source: The file, for messages.

        Raises:
            SceneError: Values are no whole numbers from 0 to 254.
        """
        hidden = hidden_pixels(pixels, valid, self.nodata)
        missing = 0 if self.hidden_is_background else UNLABELLED
        if pixels.dtype == np.uint8:
            drawn = np.where(hidden, missing, self._table()[pixels])
            return np.asarray(drawn, np.uint8)
        unlabelled = _among(pixels, self.unlabelled)
        background = _among(pixels, self.background)
        only = _among(pixels, () if self.only is None else (self.only,))
        classes = ~(hidden | unlabelled | background | only)
        check_classes(pixels[classes], source)
        found = np.where(classes, pixels, 0).astype(np.uint8)
        found[only] = 1
        found[unlabelled] = UNLABELLED
        found[hidden] = missing
        return found

    def describe(self, labels: Collection[int], *, unlabelled: bool) -> str:
        """Return the meaning of the values that occur, as one line.

        Args:
            labels: The classes that were found, as `labels` returns them.
            unlabelled: Whether some pixels are not labelled.
        """
        values = sorted(labels) if self.only is None else [self.only]
        shown = ", ".join(f"{value:g}" for value in values[:10])
        shown += ", ..." if len(values) > 10 else ""
        parts = [f"{_listed(self.background)} background"]
        if len(labels):
            parts.append(f"{shown} {'objects' if len(values) == 1 else 'classes of objects'}")
        if self.unlabelled:
            parts.append(f"{_listed(self.unlabelled)} not labelled")
        elif unlabelled:
            parts.append("hidden pixels not labelled")
        return "; ".join(parts)

    def _table(self) -> UInt8[np.ndarray, " 256"]:
        table = np.arange(256, dtype=np.uint8)
        for values, label in ((self.unlabelled, UNLABELLED), (self.background, 0)):
            for value in values:
                if 0 <= value <= UNLABELLED:
                    table[int(value)] = label
        if self.only is not None:
            table[int(self.only)] = 1
        return table


OWN = Meaning(nodata=255.0, unlabelled=frozenset({255.0}))
"""What the values of a mask mean that Overtile wrote."""


def is_own(info: SceneInfo) -> bool:
    """Return whether a raster is a mask as Overtile writes it."""
    band = info.bands[0]
    own = len(info.bands) == 1 and band.name == "class" and band.colour == "palette"
    return own and info.nodata == UNLABELLED and info.dtype == "uint8"


def meaning_of(
    scene: Scene, *, convention: bool = True, ignore_value: float | None = None
) -> Meaning:
    """Return what the values of an open raster mean.

    Its blocks are read until the meaning is settled: one or a few where it has 0 and a class
    of 1 to 254, all of them where it has none.

    Raises:
        SceneError: It cannot be read, or holds scaled numbers instead of classes.
    """
    info = scene.info
    if is_own(info):
        return OWN
    band = info.bands[0]
    if (band.scale, band.offset) != (1, 0):
        raise SceneError(
            info.source,
            f"its values are numbers with a scale of {band.scale:g}, such as probabilities, and "
            "no classes",
            "cut them at a threshold, and give classes as whole numbers",
        )
    return decide_meaning(
        survey_values(scene),
        nodata=usable_nodata(info.nodata, info.dtype),
        convention=convention,
        ignore_value=ignore_value,
    )


def survey_values(scene: Scene) -> RasterValues:
    """Return which values a raster holds, as far as their meaning depends on them.

    Raises:
        SceneError: It cannot be read.
    """
    info, found = scene.info, RasterValues()
    nodata = usable_nodata(info.nodata, info.dtype)
    for window in _windows(info):
        pixels, valid = scene.read(window, (info.bands[0].index,))
        found |= block_values(pixels[0], valid, nodata)
        if found.settled:
            break
    return found


def _windows(info: SceneInfo) -> Iterator[Window]:
    """Yield windows of whole blocks, so that each block is decoded once."""
    rows, cols = (min(one, _WINDOW_PIXELS) for one in info.block)
    wide = min(info.width, max(cols, _WINDOW_PIXELS // rows // cols * cols))
    high = min(info.height, max(rows, _WINDOW_PIXELS // wide // rows * rows))
    for row in range(0, info.height, high):
        for col in range(0, info.width, wide):
            window = Window(row=row, col=col, height=high, width=wide)
            yield window.clipped(height=info.height, width=info.width)


def block_values(
    pixels: Shaped[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    nodata: float | None,
) -> RasterValues:
    """Return which values a block holds, as far as their meaning depends on them."""
    hidden = hidden_pixels(pixels, valid, nodata)
    some_hidden = bool(hidden.any())
    shown = pixels[~hidden] if some_hidden else pixels.ravel()
    others = shown != 0
    zero = not others.all()
    declared = False
    if nodata is not None and nodata != 0:
        there = shown == nodata
        declared = bool(there.any())
        others &= ~there
    found = set()
    for top in drawn_values(pixels.dtype) - {nodata}:
        there = shown == top
        if there.any():
            found.add(top)
            others &= ~there
    rest = shown[others]
    return RasterValues(
        zero=zero,
        declared=declared,
        tops=frozenset(found),
        low=float(rest.min()) if rest.size else math.inf,
        high=float(rest.max()) if rest.size else -math.inf,
        hidden=some_hidden,
    )


def decide_meaning(
    values: RasterValues,
    *,
    nodata: float | None,
    convention: bool = True,
    ignore_value: float | None = None,
) -> Meaning:
    """Return what values mean.

    Args:
        values: Those of the whole file, or of all files of one set.
        nodata: The declared value of the file, where pixels can hold it.
        convention: Whether 255 beside other classes is not labelled.
        ignore_value: Value of pixels that are not labelled, given by the user.
    """
    declared = nodata if values.declared else None
    unlabelled = {one for one in (nodata, ignore_value) if one is not None and one != 0}
    others = values.low <= values.high and not values.low == values.high == ignore_value
    classes = set(values.tops) - unlabelled
    background, only, reasons = {0.0}, None, []
    if nodata == 0:
        reasons.append("nodata 0 is background")
    if others and convention and classes:
        reasons.append(f"{_listed(classes)} is not labelled, for there are other classes")
        unlabelled |= classes
    elif not others and len(classes) == 1:
        only = classes.pop()
        reasons.append(f"{only:g} is the class, for there is no other")
    elif (
        not others and not classes and values.zero and declared != ignore_value and _drawn(declared)
    ):
        only = declared
        unlabelled.discard(only)
        reasons.append(f"{only:g} is the class though declared as nodata, for there is no other")
    hidden_is_background = False
    one_class = only is not None or (others and values.low == values.high)
    if one_class and not values.zero:
        if declared is not None and declared not in (ignore_value, only):
            unlabelled.discard(declared)
            background.add(declared)
            reasons.append(f"nodata {declared:g} is background, for there is no other")
        elif values.hidden:
            hidden_is_background = True
            reasons.append("pixels without data are background, for there is no other")
    if declared in unlabelled and declared != UNLABELLED:
        reasons.append(f"nodata {declared:g} is not labelled")
    return Meaning(
        nodata=nodata,
        unlabelled=frozenset(unlabelled),
        background=frozenset(background),
        only=only,
        hidden_is_background=hidden_is_background,
        reasons=tuple(reasons),
    )


def usable_nodata(nodata: float | None, dtype: str) -> float | None:
    """Return a nodata value that pixels of a type can equal, else None."""
    if nodata is None or math.isnan(nodata) or not fits(nodata, dtype):
        return None
    return float(nodata)


def drawn_values(dtype: np.dtype[Any]) -> frozenset[float]:
    """Return the values that masks of one class are drawn with: 255, and a type's largest."""
    largest = {float(np.iinfo(dtype).max)} if dtype.kind == "u" else set()
    return frozenset({float(UNLABELLED)} | largest)


def hidden_pixels(
    pixels: Shaped[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    nodata: float | None,
) -> Bool[np.ndarray, "rows cols"]:
    """Return where a mask, alpha or NaN hides pixels; those of nodata are not hidden by it."""
    hidden = ~valid
    if nodata is not None:
        hidden &= pixels != nodata
    if pixels.dtype.kind == "f":
        hidden |= ~np.isfinite(pixels)
    return hidden


def check_classes(values: Shaped[np.ndarray, " n"], source: str) -> None:
    """Refuse values that number no class.

    Raises:
        SceneError: Some are below 0, above 254 or fractions.
    """
    low, high = values.min(initial=0), values.max(initial=0)
    if low < 0 or high > HIGHEST:
        raise SceneError(
            source,
            f"its labels reach from {low:g} to {high:g}",
            f"give classes from 0 to {HIGHEST} (0 is background); objects that are numbered, "
            "as polygons",
        )
    if np.any(values % 1):
        raise SceneError(
            source,
            f"its labels are fractions, such as {values[values % 1 > 0][0]:g}",
            "cut them at a threshold, and give classes as whole numbers",
        )


def _drawn(nodata: float | None) -> bool:
    """Return whether a class may be drawn with a value that is declared as nodata."""
    return nodata is not None and nodata % 1 == 0 and 0 < nodata < 2**16


def _among(
    pixels: Shaped[np.ndarray, "rows cols"], values: Iterable[float]
) -> Bool[np.ndarray, "rows cols"]:
    found = np.zeros(pixels.shape, bool)
    for value in values:
        found |= pixels == value
    return found


def _listed(values: Iterable[float]) -> str:
    return " and ".join(f"{value:g}" for value in sorted(values))
