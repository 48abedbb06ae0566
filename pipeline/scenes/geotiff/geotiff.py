"""GeoTIFFs and COGs, on disk or behind a URL."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio.io import DatasetReader

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes.access.location import content_digest, gdal_path, is_remote, remote_reason
from pipeline.scenes.geotiff.examine import examine
from pipeline.scenes.geotiff.header import examine_bytes
from pipeline.scenes.geotiff.sidecars import check_mask
from pipeline.scenes.names import redacted
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef
from pipeline.scenes.windowed import FAULTS, WindowedRaster, own_words

PROBED_BYTES = 32 * 2**20
"""A local scene that decodes to no more than this is decoded once when it is opened."""

_AGAIN = "fetch or export it again"
_examined: OrderedDict[tuple[SceneRef, str], SceneInfo] = OrderedDict()
_examined_lock = threading.Lock()


def _remembered(ref: SceneRef, digest: str) -> SceneInfo | None:
    """Return what this process found before, where the content is still the same."""
    with _examined_lock:
        return _examined.get((ref, digest))


def _remember(ref: SceneRef, info: SceneInfo) -> None:
    with _examined_lock:
        _examined[ref, info.fingerprint] = info
        while len(_examined) > 512:
            _examined.popitem(last=False)


def _open(ref: SceneRef) -> DatasetReader:
    path = gdal_path(ref.href)
    if not is_remote(ref.href):
        return rasterio.open(path, driver="GTiff")
    # Beside a remote file nothing is looked for: each name tried is a request.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        return rasterio.open(path, driver="GTiff")


class GeoTiffScene:
    """A GeoTIFF, examined when opened, read in windows at full resolution.

    Validity: alpha, else an internal or external mask, else nodata; never-written
    blocks and NaN or infinite pixels are missing as well, and so is a nodata value that
    the user names. Alpha that is read as a band of imagery masks nothing.
    """

    def __init__(self, ref: SceneRef, *, known: SceneInfo | None = None) -> None:
        """Open and examine a GeoTIFF.

        Args:
            ref: Of kind ``geotiff``. Options: ``crs`` (assumed where it names none),
                ``georef=none`` (pixel coordinates), ``nodata`` (a number, ``nan`` or
                ``none``), ``datetime``, ``name``, ``max_pixels``.
            known: What an earlier opening found, to spare examining it again.

        Raises:
            SceneError: It cannot be mapped; the message names the reason and what to do.
        """
        install_guard()
        self._ref, self._shown = ref, redacted(ref.href)
        if known is None and not is_remote(ref.href):
            # Refused before all of its bytes are read, if it can be.
            page = examine_bytes(ref).scene
            check_mask(ref.href, height=page.height, width=page.width)
        # Taken before it is opened: should it change, a run's last check finds another digest.
        digest = known.fingerprint if known else content_digest(ref.href)
        info = known or _remembered(ref, digest)
        layout = None if info else examine_bytes(ref)
        try:
            self._source = _open(ref)
        except FAULTS as error:
            raise self._error("it cannot be opened", error) from error
        try:
            self._info = info or examine(ref, self._source, layout or examine_bytes(ref), digest)
            self._windows = WindowedRaster(ref, self._source, self._info, refuse=self._error)
            if layout is not None:
                self._windows.probe(whole=self._is_small())
                _remember(ref, self._info)
        except FAULTS as error:
            self._source.close()
            raise self._error("its tags cannot be read", error) from error
        except BaseException:
            self._source.close()
            raise

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def close(self) -> None:
        """Give the file back; reading afterwards is an error."""
        self._source.close()

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: The pixels cannot be read; names the window's rows and columns.
        """
        pixels, valid = self._windows.read(window, bands)
        if self._info.sparse:
            self._clear_unwritten(valid, window)
        return pixels, valid

    def _is_small(self) -> bool:
        size = np.dtype(self._info.dtype).itemsize * self._info.height * self._info.width
        small = size * self._source.count <= PROBED_BYTES
        return small and not (self._info.sparse or is_remote(self._ref.href))

    def _clear_unwritten(self, valid: Bool[np.ndarray, "rows cols"], window: Window) -> None:
        rows, cols = self._info.block
        for down in range(window.row // rows, (window.bottom - 1) // rows + 1):
            for across in range(window.col // cols, (window.right - 1) // cols + 1):
                if self._source.get_tag_item(f"BLOCK_OFFSET_{across}_{down}", "TIFF", bidx=1):
                    continue
                block = Window(row=down * rows, col=across * cols, height=rows, width=cols)
                top, left = max(block.row, window.row), max(block.col, window.col)
                bottom, right = min(block.bottom, window.bottom), min(block.right, window.right)
                part = Window(row=top, col=left, height=bottom - top, width=right - left)
                valid[part.within(window)] = False

    def _error(self, what: str, error: BaseException) -> SceneError:
        words = own_words(error)
        if is_remote(self._ref.href):
            fault = remote_reason(words, otherwise="the server did not deliver them")
            return SceneError(self._shown, f"{what}: {fault}", "try again, or fetch it first")
        return SceneError(self._shown, f"{what}: {words}", _AGAIN)


_: type[Scene] = GeoTiffScene
