"""PNG and JPEG images, georeferenced by sidecars."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes import nodata
from pipeline.scenes.access.location import PICTURES, content_digest, gdal_path, open_bytes
from pipeline.scenes.band_roles import image_bands, split_alpha
from pipeline.scenes.foreign import appearance, hint
from pipeline.scenes.geotiff import acquisition_time as moment
from pipeline.scenes.geotiff.sidecars import check_pipes
from pipeline.scenes.names import slug, stem
from pipeline.scenes.pam import read_pam
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef
from pipeline.scenes.validity import missing, same
from pipeline.scenes.world_file import WorldGeoref, place_picture

MAX_DECODED_BYTES = 2**29
"""Images are decoded whole; a larger one belongs into a tiled GeoTIFF."""

SUFFIXES = PICTURES

_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
_AGAIN = "fetch or export it again"


class ImageScene:
    """A PNG or JPEG, decoded whole when opened.

    It is georeferenced where a world file or an ``.aux.xml`` file beside it has a geotransform,
    and such a file, a ``.prj`` file or the option ``crs`` a reference system.
    """

    def __init__(self, ref: SceneRef, *, known: SceneInfo | None = None) -> None:
        """Open, examine and decode an image.

        Args:
            ref: Of kind ``image``, a local path. Options: ``crs`` (assumed where no file names
                one), ``georef=none`` (pixel coordinates), ``nodata``, ``datetime``, ``name``.
            known: What an earlier opening found.

        Raises:
            SceneError: It is no image, is damaged, or decodes to too much; or a file beside it
                is damaged or places it off the Earth.
        """
        install_guard()
        check_pipes(ref.href)
        driver = _driver(ref)
        try:
            with rasterio.open(gdal_path(ref.href), driver=driver) as source:
                _check_size(ref, source)
                self._info = known or _info(ref, source)
                self._pixels: np.ndarray = source.read()
                self._opaque = np.ones(source.shape, bool)
                if _has_transparent_colour(source) and not nodata.is_ignored(ref):
                    colour = np.reshape(source.nodatavals, (-1, 1, 1))
                    self._opaque = np.asarray((self._pixels != colour).any(axis=0))
        except (RasterioError, CPLE_BaseError, UnicodeDecodeError, MemoryError) as error:
            words = " ".join(str(error.__cause__ or error).split())[:300]
            raise SceneError(ref.href, f"it cannot be decoded: {words}", _AGAIN) from error

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`."""
        whole = Window(row=0, col=0, height=self._info.height, width=self._info.width)
        rows, cols = window.within(whole)
        pixels = self._pixels[[index - 1 for index in bands], rows, cols]
        valid = self._opaque[rows, cols].copy()
        alpha = self._info.alpha
        if alpha and alpha not in bands:
            valid &= self._pixels[alpha - 1, rows, cols] != 0
        if values := nodata.of_bands(self._info, bands):
            valid &= ~missing(pixels, values)
        return pixels, valid

    def close(self) -> None:
        """Give the pixels back."""
        self._pixels = self._pixels[:0]


def _driver(ref: SceneRef) -> str:
    data = open_bytes(ref.href)
    try:
        head = data.read(0, 256)
    finally:
        data.close()
    if data.size == 0:
        raise SceneError(ref.href, "it is empty (0 bytes)", "wait for its upload to end")
    for magic, driver in _MAGIC.items():
        if head.startswith(magic):
            if driver == "PNG":
                _check_png(ref)
            return driver
    raise SceneError(
        ref.href,
        f"it is neither PNG nor JPEG; {appearance(ref.href, head)}",
        hint(ref.href, head),
    )


def _check_png(ref: SceneRef) -> None:
    """Prove that a PNG has its last chunk: libpng reads one cut in half as black."""
    data = open_bytes(ref.href)
    offset, kind = 8, b""
    try:
        while kind != b"IEND":
            head = data.read(offset, 8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            offset += 12 + length
            if len(head) < 8 or offset > data.size:
                fault = f"it is cut off: its chunks end at byte {offset}, the file at {data.size}"
                raise SceneError(ref.href, fault, _AGAIN)
    finally:
        data.close()


def _check_size(ref: SceneRef, source: DatasetReader) -> None:
    item = np.dtype(source.dtypes[0]).itemsize
    size = source.height * source.width * source.count * item
    if size > MAX_DECODED_BYTES:
        raise SceneError(
            ref.href,
            f"it claims {source.height} x {source.width} pixels, {size / 2**20:.0f} MiB decoded, "
            f"the limit is {MAX_DECODED_BYTES // 2**20} MiB",
            "convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)",
        )


def _place(ref: SceneRef, source: DatasetReader) -> WorldGeoref:
    """Return where it lies, and warnings, that of a turned image among them.

    Raises:
        SceneError: A file beside it is damaged or places it off the Earth, or it lies there
            turned.
    """
    chosen = dict(ref.options)
    placed = WorldGeoref(georef=None)
    if chosen.get("georef") != "none":
        placed = place_picture(
            ref.href,
            height=source.height,
            width=source.width,
            assumed_crs=chosen.get("crs", ""),
        )
    turned = source.tags().get("EXIF_Orientation", "1")
    if turned in ("0", "1"):
        return placed
    if placed.georef is not None:
        raise SceneError(
            ref.href,
            f"its EXIF orientation is {turned}: its rows do not run as the georeference beside it "
            "says",
            "write it upright (orientation 1), or map it in pixels (--crs none)",
        )
    warning = (
        f"viewers turn it as its EXIF orientation {turned} asks; rows and columns here are those "
        "of the file"
    )
    return WorldGeoref(georef=None, warnings=(*placed.warnings, warning))


def _nodata(
    ref: SceneRef, source: DatasetReader
) -> tuple[float | None, tuple[float, ...], tuple[str, ...]]:
    """Return the nodata value of all bands, else those of each, and warnings about them.

    Raises:
        SceneError: The user names a value that the pixels cannot hold.
    """
    dtype = source.dtypes[0]
    if nodata.is_ignored(ref):
        return nodata.given(ref, name=ref.href, dtype=dtype), (), ()
    values, warning = nodata.of_pam(read_pam(ref.href), count=source.count, dtype=dtype)
    warnings = (f"{warning}; it is not used (choose one with --nodata)",) if warning else ()
    if not values or split_alpha(source)[1] or _has_transparent_colour(source):
        return None, (), warnings
    if all(same(value, values[0]) for value in values):
        return values[0], (), warnings
    return None, values, warnings


def _has_transparent_colour(source: DatasetReader) -> bool:
    """Return whether a PNG names a colour that is transparent."""
    return split_alpha(source)[1] is None and None not in source.nodatavals


def _validity(source: DatasetReader, *, declared: bool) -> Literal["", "alpha", "mask", "nodata"]:
    if split_alpha(source)[1]:
        return "alpha"
    if declared:
        return "nodata"
    return "mask" if _has_transparent_colour(source) else ""


def _info(ref: SceneRef, source: DatasetReader) -> SceneInfo:
    value, by_band, warnings = _nodata(ref, source)
    placed = _place(ref, source)
    return SceneInfo(
        name=slug(stem(ref)),
        source=ref.href,
        height=source.height,
        width=source.width,
        bands=image_bands(source),
        dtype=source.dtypes[0],
        georef=placed.georef,
        fingerprint=content_digest(ref.href),
        datetime=moment.acquisition_time(
            option=dict(ref.options).get("datetime", ""), tags={}, name=stem(ref)
        ),
        block=source.shape,
        stored_bytes=Path(ref.href).stat().st_size,
        nodata=value,
        band_nodata=by_band,
        alpha=split_alpha(source)[1] or 0,
        validity=_validity(source, declared=value is not None or bool(by_band)),
        warnings=(*placed.warnings, *warnings),
        bits=int(source.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", "0")),
    )


_: type[Scene] = ImageScene
