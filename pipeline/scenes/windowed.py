"""Windows of an open raster: pixels, and where they are valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Shaped
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes import validity
from pipeline.scenes.band_roles import has_mask, split_alpha
from pipeline.scenes.nodata import is_given, of_bands
from pipeline.scenes.scene import SceneInfo, SceneRef

FAULTS = (RasterioError, CPLE_BaseError, UnicodeDecodeError, MemoryError)
"""What rasterio raises for files that are at fault; GDAL's own errors slip through its own."""


def own_words(error: BaseException) -> str:
    """Return GDAL's own message: rasterio's is 'see previous exception'."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300]


class WindowedRaster:
    """Windows of a raster that GDAL reads at full resolution.

    Validity: alpha, else an internal or external mask, else nodata; NaN and infinite pixels are
    missing as well, and so is a nodata value that the user names. Alpha that is read as a band
    of imagery masks nothing.
    """

    def __init__(
        self,
        ref: SceneRef,
        source: DatasetReader,
        info: SceneInfo,
        *,
        refuse: Callable[[str, BaseException], SceneError],
    ) -> None:
        """Take an open raster.

        Args:
            ref: How it was opened.
            source: The raster.
            info: What is known of it.
            refuse: Returns the error for what cannot be read, and why.
        """
        self.source, self._info, self._refuse = source, info, refuse
        self._alpha = split_alpha(source)[1]
        self._masked = has_mask(source)
        self._nodata_counts = is_given(ref)

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: The pixels cannot be read; names the window's rows and columns.
        """
        known = {band.index for band in self._info.bands} | {self._alpha}
        if not set(bands) <= known:
            raise ValueError(f"bands {bands} are not all among {self.source.indexes}")
        if window.clipped(height=self._info.height, width=self._info.width) != window:
            raise ValueError(f"{window} is not inside {self._info.height} x {self._info.width}")
        pixels = self.pixels(bands, window)
        valid = self._declared_valid(pixels, bands, window)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        return pixels, valid

    def pixels(self, bands: Sequence[int], window: Window) -> Shaped[np.ndarray, "bands rows cols"]:
        """Return pixels of bands in a window.

        Raises:
            SceneError: They cannot be read.
        """
        try:
            pixels: np.ndarray = self.source.read(list(bands), window=_as_rasterio(window))
        except FAULTS as error:
            raise self._refuse(_place(window), error) from error
        return pixels

    def probe(self, *, whole: bool) -> None:
        """Decode all of a scene, or its corners: can it be read?

        Raises:
            SceneError: It cannot.
        """
        height, width = self._info.height, self._info.width
        if whole:
            everything = Window(row=0, col=0, height=height, width=width)
            self.pixels(tuple(self.source.indexes), everything)
            return
        for row, col in ((0, 0), (height - 1, width - 1)):
            self.pixels((1,), Window(row=row, col=col, height=1, width=1))

    def _declared_valid(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        bands: tuple[int, ...],
        window: Window,
    ) -> Bool[np.ndarray, "rows cols"]:
        masked = self._alpha is not None and self._alpha not in bands
        if self._alpha is not None and masked:
            valid: np.ndarray = self.pixels((self._alpha,), window)[0] != 0
        elif self._masked:
            masked = True
            try:
                valid = self.source.read_masks(1, window=_as_rasterio(window)) != 0
            except FAULTS as error:
                raise self._refuse(f"the mask of {_place(window)}", error) from error
        else:
            valid = np.ones(pixels.shape[1:], bool)
        nodata = of_bands(self._info, bands)
        if nodata and (self._nodata_counts or not masked):
            valid &= ~validity.missing(pixels, nodata)
        return valid


def _as_rasterio(window: Window) -> RasterWindow:
    return RasterWindow(window.col, window.row, window.width, window.height)


def _place(window: Window) -> str:
    return (
        f"rows {window.row} to {window.bottom - 1}, columns {window.col} to {window.right - 1} "
        "cannot be read"
    )
